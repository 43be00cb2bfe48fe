"""The table of environment variables: their names from ``settings.py``, and what each says."""

from __future__ import annotations

from modelscope_transport import settings
from modelscope_transport.language import LANGUAGE_VARIABLE, Language

# Each row: the variables, in the order in which they are looked for; what they say, in English and
# in Chinese.
_ROWS: list[tuple[tuple[str, ...], str, str]] = [
    (
        settings.TOKEN_VARIABLES,
        "the access token; what `modelscope-adapters login` stored comes after them",
        "访问令牌；都没有时使用 `modelscope-adapters login` 保存的令牌",
    ),
    (
        settings.BASE_URL_VARIABLES,
        f"the address of the service, with its path; `{settings.BASE_URL}` by default",
        f"服务地址，包含路径；默认 `{settings.BASE_URL}`",
    ),
    (
        (settings.LEDGER_VARIABLE,),
        "where calls are counted: a file, `redis://…`, `memory` or `off`; a file of this user's by "
        "default ([all forms](allowance.md#where-calls-are-counted))",
        "在哪里计数：文件、`redis://…`、`memory` 或 `off`；默认是当前用户的一个文件"
        "（[全部写法](allowance.zh.md#在哪里计数)）",
    ),
    (
        (LANGUAGE_VARIABLE, "LC_ALL", "LC_MESSAGES", "LANG"),
        "the language of messages, errors included: Chinese where it begins with `zh`, else "
        "English; without any of them, the system's",
        "消息（包括错误）的语言：以 `zh` 开头为中文，否则为英文；都没有时随系统",
    ),
    (
        ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY"),
        "a proxy, and the addresses that go around it; `proxy=` comes before them, and "
        '`proxy="none"` goes around all. Never used for this machine\'s own addresses',
        '代理，以及不走代理的地址；`proxy=` 优先，`proxy="none"` 一律不走代理。本机地址从不走代理',
    ),
    (
        settings.CA_VARIABLES,
        "a file of certificates to trust, for instance a company's",
        "要信任的证书文件，例如公司内部的证书",
    ),
]
_HEAD = {"en": "| variable | what it says |", "zh": "| 变量 | 含义 |"}


def environment_table(language: Language = "en") -> str:
    """The table, in Markdown: the first variable of a row that is set counts."""
    lines = [_HEAD[language], "|---|---|"]
    for names, english, chinese in _ROWS:
        shown = ", ".join(f"`{name}`" for name in names)
        lines.append(f"| {shown} | {chinese if language == 'zh' else english} |")
    return "\n".join(lines)
