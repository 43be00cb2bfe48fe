"""The local service's page for a browser: lines to copy, the allowance, the calls as they come.

Laws of this file: it holds no token (any that begins with ``ms-`` is taken), loads nothing from
elsewhere, and puts words of requests into the page as text, never as HTML.
"""

from __future__ import annotations

import html
import re

_WORDS = {
    "title": ("Local service of ModelScope API-Inference", "ModelScope API-Inference 本地服务"),
    "about": (
        "It speaks the protocol on this machine. Its answers follow rules; no model runs here.",
        "在本机提供同样的协议。回答由规则生成，这里没有运行任何模型。",
    ),
    "behind": (
        "It speaks the protocol on this machine. Its answers are those of the model behind it.",
        "在本机提供同样的协议。回答来自它后面的模型。",
    ),
    "point": ("Point your program at it", "让程序使用它"),
    "any": (
        "Any token that begins with ms- is taken, unless serve was started with --token.",
        "任何以 ms- 开头的令牌都可以（启动时用 --token 指定的除外）。",
    ),
    "allowance": ("Allowance", "额度"),
    "unlimited": ("not limited", "不限"),
    "left": ("# Magicubes left", "剩余 # 魔粒"),
    "spent": ("The allowance is spent: calls are refused.", "额度已用完：调用会被拒绝。"),
    "calls": ("Calls", "调用记录"),
    "time": ("time", "时间"),
    "model": ("model", "模型"),
    "path": ("address", "地址"),
    "status": ("status", "状态"),
    "price": ("price", "价格"),
    "none": ("None yet. They appear here as they come.", "还没有。新的调用会实时显示在这里。"),
    "gone": ("The service has ended.", "服务已停止。"),
}

_PAGE = """<!doctype html>
<html lang="@lang"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>@title</title><link rel="icon" href="data:,">
<style>
:root{color-scheme:light dark;--line:#8884;--soft:#8881;--bad:#c33}
@media(prefers-color-scheme:dark){:root{--bad:#f77}}
body{font:16px/1.5 system-ui,"PingFang SC","Microsoft YaHei","Noto Sans CJK SC",sans-serif;
 max-width:60rem;margin:0 auto;padding:1rem;overflow-wrap:anywhere}
pre{background:var(--soft);padding:.8rem;overflow-x:auto;border-radius:.4rem}
h1{font-size:1.4rem}h2{font-size:1.1rem;margin-top:1.6rem}
.wide{overflow-x:auto}section{min-width:0}
@media(min-width:75rem){body{max-width:78rem}
 main{display:grid;grid-template-columns:1fr 1fr;gap:0 2.5rem}}
table{border-collapse:collapse;width:100%;font-size:.9rem}
td,th{text-align:left;padding:.3rem .5rem;border-bottom:1px solid var(--line);vertical-align:top;
 overflow-wrap:normal}th{white-space:nowrap}
.bad{color:var(--bad)}
</style></head><body>
<p><a href="?lang=en">English</a> · <a href="?lang=zh">中文</a></p>
<h1>@title</h1><p>@about</p>
<main><section><h2>@point</h2>
<pre>export MODELSCOPE_API_BASE=@base
export MODELSCOPE_API_KEY=ms-local</pre><p>@any</p>
<h3>LangChain</h3>
<pre>from langchain_modelscope import ChatModelScope

model = ChatModelScope(
    model="Qwen/Qwen3-Coder-30B-A3B-Instruct",
    base_url="@base",
    api_key="ms-local",
)
print(model.invoke("Hello!").text)</pre>
<h3>LlamaIndex</h3>
<pre>from llamaindex_modelscope import ModelScope

llm = ModelScope(
    model="Qwen/Qwen3-Coder-30B-A3B-Instruct",
    base_url="@base",
    api_key="ms-local",
)
print(llm.complete("Hello!"))</pre>
</section><section><h2>@allowance</h2><p id="left">…</p>
<h2>@calls</h2><p id="none">@none</p>
<div class="wide"><table><thead><tr><th>@time</th><th>@model</th><th>@path</th><th>@status</th>
<th>@price</th></tr></thead><tbody id="calls"></tbody></table></div></section></main>
<script>
const words = {unlimited: "@unlimited", left: "@left", spent: "@spent", gone: "@gone"};
let seen = 0;
async function look() {
  const left = document.getElementById("left");
  try {
    const told = await (await fetch("/local/calls?after=" + seen)).json();
    left.className = told.left === 0 ? "bad" : "";
    left.textContent = told.left === null ? words.unlimited
      : told.left === 0 ? words.spent : words.left.replace("#", told.left);
    for (const call of told.calls) {
      seen = call.number;
      if (call.path === "/") continue;  // this page itself
      const row = document.getElementById("calls").insertRow(0);
      const time = new Date(call.at * 1000).toLocaleTimeString([], {hour12: false});
      const path = call.method + " " + call.path;
      const cells = [time, call.model, path, call.status || "-", call.price];
      for (const text of cells) row.insertCell().textContent = text;
      if (call.status !== 200) row.className = "bad";
      document.getElementById("none").hidden = true;
    }
  } catch (error) {
    left.className = "bad";
    left.textContent = words.gone;
  }
  setTimeout(look, 1000);
}
look();
</script></body></html>
"""


def page(host: str, language: str, *, ruled: bool = True) -> bytes:
    """The page, in ``"en"`` or ``"zh"``.

    Args:
        host: The host and port by which the browser reached the service.
        language: What the reader asked for; anything but ``zh…`` is English.
        ruled: Whether the answers follow rules; else a model gives them.
    """
    chinese = language.lower().startswith("zh")
    words = {name: pair[chinese] for name, pair in _WORDS.items()}
    words["about"] = words["about" if ruled else "behind"]
    words |= {"lang": "zh-CN" if chinese else "en", "base": f"http://{host}/v1"}
    names = "|".join(words)  # not "@media"
    filled = re.sub(rf"@({names})\b", lambda found: html.escape(words[found[1]]), _PAGE)
    return filled.encode()
