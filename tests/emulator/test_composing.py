"""The texts of the scripted engine, in the forms that frameworks ask for."""

from __future__ import annotations

import json
import re

import pytest
from llama_index.core import PromptTemplate
from llama_index.core.agent.react.formatter import ReActChatFormatter
from llama_index.core.agent.react.output_parser import ReActOutputParser
from llama_index.core.indices.utils import default_parse_choice_select_answer_fn
from llama_index.core.llms import ChatMessage
from llama_index.core.output_parsers.pydantic import PydanticOutputParser
from llama_index.core.output_parsers.selection import SelectionOutputParser
from llama_index.core.prompts import default_prompts
from llama_index.core.selectors.prompts import DEFAULT_SINGLE_SELECT_PROMPT
from llama_index.core.tools import FunctionTool
from pydantic import BaseModel

from modelscope_transport.emulator.scripted.composing import compose
from modelscope_transport.emulator.scripted.talk import Talk

FACTS = (
    "The allowance is 2000 calls a day. It comes back at midnight in UTC+8.\n"
    "Since August 2026 calls are paid in Magicubes.\n"
    "西湖位于杭州。长城在北京。"
)


def say(*messages):
    """Compose the answer to messages; plain texts alternate between user and assistant."""
    roles = ("user", "assistant")
    return compose(
        Talk(
            [
                {"role": roles[at % 2], "content": each} if isinstance(each, str) else each
                for at, each in enumerate(messages)
            ]
        )
    )


def test_a_text_uses_the_prompt():
    assert say("Good morning") == "You said: “Good morning”."
    assert say("早上好") == "你说的是：“早上好”。"


def test_content_in_parts_is_read():
    parts = [
        {"type": "text", "text": "Good"},
        {"type": "image_url"},
        {"type": "text", "text": "day"},
    ]
    assert "Good\nday" in say({"role": "user", "content": parts})


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("How many calls a day?", "The allowance is 2000 calls a day."),
        ("When does it come back?", "It comes back at midnight in UTC+8."),
        ("What are calls paid in?", "Since August 2026 calls are paid in Magicubes."),
        ("西湖在哪里？", "西湖位于杭州。"),
    ],
)
@pytest.mark.parametrize(
    "form",
    [
        default_prompts.DEFAULT_TEXT_QA_PROMPT_TMPL,
        default_prompts.DEFAULT_TREE_SUMMARIZE_TMPL,
        "Answer from the context.\n\nContext: {context_str}\n\nQuestion: {query_str}",
        "请根据以下资料回答。\n{context_str}\n问题：{query_str}",
    ],
)
def test_a_question_over_passages_gets_the_sentence_that_fits_best(form, question, answer):
    assert say(form.format(context_str=FACTS, query_str=question)) == answer


def test_passages_may_stand_in_the_system_message():
    system = {"role": "system", "content": f"Use these documents:\n{FACTS}"}
    assert say(system, {"role": "user", "content": "西湖在哪里？"}) == "西湖位于杭州。"


def test_a_refined_answer_takes_the_better_sentence():
    prompt = default_prompts.DEFAULT_REFINE_PROMPT_TMPL.format(
        query_str="How many calls a day?", existing_answer="I do not know.", context_msg=FACTS
    )
    assert say(prompt) == "The allowance is 2000 calls a day."


def test_a_refined_answer_stays_where_the_new_passage_says_nothing():
    prompt = (
        "Rewrite or repeat the original answer.\nNew Context: {}\n"
        "Query: How many calls a day?\nOriginal Answer: 2000 calls.\nNew Answer: "
    )
    assert say(prompt.format("长城在北京。")) == "2000 calls."


def test_a_question_that_no_passage_answers():
    form = default_prompts.DEFAULT_TEXT_QA_PROMPT_TMPL
    told = say(form.format(context_str="长城在北京。", query_str="Who wrote Faust?"))
    assert told == "The context does not say."
    assert (
        say(form.format(context_str="Rivers flow.", query_str="西湖在哪里？")) == "资料里没有说。"
    )


def test_what_was_said_before_is_remembered():
    assert "Bob" in say("Hi, my name is Bob.", "Hello!", "What is my name?")
    assert "小明" in say("我叫小明", "你好", "我叫什么名字？")


def test_a_text_of_so_many_words():
    assert len(say("Write 300 words about rivers").split()) == 300
    assert len(say("写一篇200字的文章")) == 200


def add(a: int, b: int) -> int:
    """Add two integers."""
    return a + b


def multiply(a: int, b: int) -> int:
    """Multiply two integers."""
    return a * b


@pytest.mark.parametrize("question", ["What is 20 multiplied by 4?", "20 乘 4 等于多少？"])
def test_a_react_agent_of_llama_index(question):
    tools = [FunctionTool.from_defaults(each) for each in (add, multiply)]
    asked = ReActChatFormatter().format(tools, [ChatMessage(role="user", content=question)])
    messages = [{"role": each.role.value, "content": each.content} for each in asked]
    action = say(*messages)
    step = ReActOutputParser().parse(action)
    assert (step.action, step.action_input) == ("multiply", {"a": 20, "b": 4})
    observed = {"role": "user", "content": "Observation: 80"}
    answer = say(*messages, {"role": "assistant", "content": action}, observed)
    final = ReActOutputParser().parse(answer)
    assert final.is_done
    assert final.response == "80"


def test_a_react_agent_that_needs_no_tool():
    tools = [FunctionTool.from_defaults(multiply)]
    asked = ReActChatFormatter().format(tools, [ChatMessage(role="user", content="Good morning!")])
    step = ReActOutputParser().parse(
        say(*({"role": e.role.value, "content": e.content} for e in asked))
    )
    assert step.is_done
    assert "Good morning!" in step.response


CLASSIC = """Answer the question. You have access to the following tools:

search(query: str) - Search the web
add - Add numbers

Use the following format:

Question: the input question
Thought: what to do
Action: the action to take, should be one of [search, add]
Action Input: the input to the action
Observation: the result of the action
Final Answer: the final answer

Begin!

Question: Search for red shoes
Thought:"""


def test_a_react_agent_of_langchain():
    action = say(CLASSIC)
    assert re.findall(r"^Action: (.+)\nAction Input: (.+)", action, re.MULTILINE) == [
        ("search", "Search for red shoes")
    ]
    answer = say(f"{CLASSIC} {action}\nObservation: 3 red shoes\nThought:")
    assert answer.endswith("Final Answer: 3 red shoes")


class Person(BaseModel):
    name: str
    age: int


def test_a_schema_inside_the_prompt_is_filled():
    parser = PydanticOutputParser(Person)
    filled = parser.parse(say(parser.format("Extract the person: we met Alice, she is 30.")))
    assert filled == Person(name="Alice", age=30)


def test_a_choice_is_made_by_shared_words():
    options = "(1) about rivers and lakes\n\n(2) about calls and allowances\n\n(3) about food"
    prompt = DEFAULT_SINGLE_SELECT_PROMPT.partial_format(
        num_choices=3, context_list=options, query_str="How many calls have I?"
    )
    parser = SelectionOutputParser()
    selected = parser.parse(say(parser.format(prompt.format()))).parsed_output
    assert selected[0].choice == 2
    tree = PromptTemplate(default_prompts.DEFAULT_QUERY_PROMPT_TMPL)
    text = tree.format(num_chunks=3, context_list=options, query_str="How many calls have I?")
    assert say(text).startswith("ANSWER: 2")


def test_documents_are_chosen_by_shared_words():
    prompt = default_prompts.DEFAULT_CHOICE_SELECT_PROMPT_TMPL.format(
        context_str="Document 1:\nRivers flow.\n\nDocument 2:\nCalls are free.\n",
        query_str="Free calls?",
    )
    assert default_parse_choice_select_answer_fn(say(prompt), 2) == ([2], [10.0])


def test_keywords():
    text = "ModelScope serves open models with an allowance."
    prompt = default_prompts.DEFAULT_KEYWORD_EXTRACT_TEMPLATE_TMPL
    answer = say(prompt.format(max_keywords=5, text=text))
    assert answer == "KEYWORDS: modelscope, serves, open, models, allowance"
    ending = (
        f"{text}. Give 5 unique keywords for this document. Format as comma separated. Keywords: "
    )
    assert say(ending).startswith("modelscope, serves")


@pytest.mark.parametrize(
    ("claim", "told"), [("The pie is sweet", "YES"), ("Dogs bark loudly", "NO")]
)
def test_a_claim_is_checked_against_its_context(claim, told):
    prompt = (
        "Is the information supported? Answer with either YES or NO.\n"
        "Information: Apples fly.\nContext: Apples fall.\nAnswer: NO\n"
        f"Information: {claim}\nContext: This pie is very sweet.\nAnswer: "
    )
    assert say(prompt) == told


def test_scores():
    query = (
        "follow this format: '[RESULT] followed by the number'\nQuery: \n red shoes\nResponse: \n "
    )
    assert say(query + "red shoes are here").endswith("[RESULT] 2")
    assert say(query + "nothing").endswith("[RESULT] 0")
    form = "## User Query\nwhere\n## Reference Answer\nin the blue box\n## Generated Answer\n"
    assert say(form + "in the blue box").startswith("5.0\n")
    assert say(form + "nowhere").startswith("1.0\n")


def test_triplets():
    prompt = default_prompts.DEFAULT_KG_TRIPLET_EXTRACT_TMPL.format(
        max_knowledge_triplets=3, text="Alice knows Bob. Bob lives in Rome."
    )
    assert say(prompt) == "(Alice, knows, Bob)\n(Bob, lives in, Rome)"


def test_triplets_as_json():
    prompt = default_prompts.DEFAULT_DYNAMIC_EXTRACT_TMPL.format(
        max_knowledge_triplets=3,
        allowed_entity_types="",
        allowed_relation_types="",
        text="Alice knows Bob.",
    )
    [found] = json.loads(say(prompt))
    assert (found["head"], found["relation"], found["tail"]) == ("Alice", "knows", "Bob")


def test_a_follow_up_question_stands_alone():
    prompt = (
        "Rephrase the follow up question to be a standalone question.\n\n"
        "Chat History:\nuser: Hi\nFollow Up Input: Where is West Lake?\nStandalone question:"
    )
    assert say(prompt) == "Where is West Lake?"


def test_search_queries_one_a_line():
    prompt = (
        "Generate 3 search queries, one on each line, related to the following input query:\n"
        "Query: Where is West Lake?\nQueries:\n"
    )
    lines = say(prompt).splitlines()
    assert len(lines) == 3
    assert lines[0] == "Where is West Lake?"


def test_a_question_is_put_to_every_tool():
    prompt = (
        'Output sub_question items.\n<Tools>\n```json\n{"a": "A", "b": "B"}\n```\n\n'
        "<User Question>\nCompare a and b\n\n<Output>\n"
    )
    items = json.loads(say(prompt).removeprefix("```json").removesuffix("```"))["items"]
    assert [item["tool_name"] for item in items] == ["a", "b"]
    assert {item["sub_question"] for item in items} == {"Compare a and b"}
