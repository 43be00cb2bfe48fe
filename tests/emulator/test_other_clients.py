"""What clients of other kinds ask for: browsers, Anthropic's SDK, ModelScope's own MCP server."""

from __future__ import annotations

import http.client
import json
from contextlib import closing

import pytest


def send(caller, method, path, **headers):
    with closing(http.client.HTTPConnection(*caller.address, timeout=20)) as connection:
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, b"{}" if method == "POST" else None, given)
        reply = connection.getresponse()
        return (
            reply.status,
            {name.lower(): value for name, value in reply.getheaders()},
            reply.read(),
        )


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/models", "/nowhere"])
def test_a_browser_may_send_a_fixed_list_of_headers(caller, path):
    asked = {"access_control_request_headers": "x-api-key", "origin": "https://a.example"}
    status, headers, body = send(caller, "OPTIONS", path, **asked)
    allowed = headers["access-control-allow-headers"].lower().split(",")
    assert (status, body, headers["access-control-allow-origin"]) == (204, b"", "*")
    assert {"authorization", "content-type", "range"} <= set(allowed)
    assert not {"x-api-key", "anthropic-version", "x-stainless-os"} & set(allowed)
    assert caller.request("GET", "/v1/models").headers["access-control-allow-origin"] == "*"


@pytest.mark.parametrize("header", ["x_api_key", "authorization"])
def test_messages_say_in_their_own_envelope_that_they_are_not_served_here(caller, header):
    token = caller.service.token
    given = {header: token if header == "x_api_key" else f"Bearer {token}"}
    status, _, body = send(caller, "POST", "/v1/messages", **given)
    told = json.loads(body)
    assert (status, told["type"], told["error"]["type"]) == (404, "error", "not_found_error")
    assert "/v1/messages" in told["error"]["message"]

    status, _, body = send(caller, "POST", "/v1/messages", x_api_key="nothing")
    assert (status, json.loads(body)["error"]["type"]) == (401, "authentication_error")


def test_responses_say_in_their_own_envelope_that_they_are_not_served_here(caller):
    answered = caller.request("POST", "/v1/responses", {"model": "m", "input": "Hello"})
    assert (answered.status, answered.json["error"]["type"]) == (404, "invalid_request_error")
    assert "/v1/responses" in answered.error
    assert caller.request("POST", "/v1/responses", {}, token="nothing").status == 401


def test_models_found_have_the_fields_that_the_mcp_server_needs(caller):
    body = {"Name": "Coder", "PageNumber": 1, "PageSize": 5}
    answered = caller.request("PUT", "/api/v1/dolphin/models", body, token=None)
    (found,) = answered.json["Data"]["Model"]["Models"]
    for name in ("CreatedBy", "ChineseName", "License", "Name", "Path"):
        assert isinstance(found[name], str), name
    for name in ("CreatedTime", "LastUpdatedTime", "Downloads", "Stars"):
        assert isinstance(found[name], int), name


def test_who_is_signed_in(caller):
    path = "/api/v1/users/login/info"
    status, _, body = send(caller, "GET", path, cookie=f"m_session_id={caller.service.token}")
    assert (status, json.loads(body)["Data"]["Name"]) == (200, "local")
    assert json.loads(send(caller, "GET", path)[2])["Success"] is False


def test_of_well_formed_tokens_only_the_given_one_is_taken(call):
    caller = call(token="ms-right")
    assert caller.chat().status == 200
    wrong = caller.request("POST", "/v1/chat/completions", {}, token="ms-wrong")
    assert (wrong.status, wrong.error[:21]) == (401, "Authentication failed")
    assert caller.request("GET", "/v1/models", token="ms-wrong").status == 200
