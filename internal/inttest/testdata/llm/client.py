"""OpenAI's Python client and the gateway: client.py URL KEY. It says ok, or fails."""

import json
import sys

import openai

SCHEMA = {
    "type": "object",
    "properties": {"mood": {"enum": ["good", "bad"]}, "sure": {"type": "boolean"}},
    "required": ["mood", "sure"],
    "additionalProperties": False,
}
HI = [{"role": "user", "content": "hi"}]
TOOLS = [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}}]


def main(url, key):
    client = openai.OpenAI(base_url=url, api_key=key, max_retries=0)

    assert [m.id for m in client.models.list()] == ["chat", "embed", "scripted"]
    assert client.models.retrieve("chat").id == "chat"

    whole = client.chat.completions.create(model="chat", messages=HI, max_tokens=12, temperature=0)
    text = whole.choices[0].message.content
    assert text and whole.usage.completion_tokens == 12, whole
    # What only this server knows arrives there and comes back.
    extra = client.chat.completions.create(model="chat", messages=HI, max_tokens=3, extra_body={"timings_per_token": True, "top_k": 1})
    assert extra.timings["predicted_n"] == 3, extra

    chunks = list(client.chat.completions.create(model="chat", messages=HI, max_tokens=12, temperature=0, stream=True))
    assert "".join(c.choices[0].delta.content or "" for c in chunks) == text
    assert all(c.usage is None and c.choices for c in chunks)
    counted = list(client.chat.completions.create(model="chat", messages=HI, max_tokens=12, stream=True, stream_options={"include_usage": True}))
    assert counted[-1].usage.completion_tokens == 12 and not counted[-1].choices

    shaped = client.chat.completions.create(
        model="chat", messages=HI, max_tokens=100, response_format={"type": "json_schema", "json_schema": {"name": "a", "strict": True, "schema": SCHEMA}}
    )
    assert set(json.loads(shaped.choices[0].message.content)) == {"mood", "sure"}

    # The tools are part of the prompt there. The model of noise never calls one,
    # the scripted server does.
    with_tools = client.chat.completions.create(model="chat", messages=HI, max_tokens=1, tools=TOOLS)
    assert with_tools.usage.prompt_tokens > whole.usage.prompt_tokens + 50
    called = client.chat.completions.create(model="scripted", messages=HI, tools=TOOLS).choices[0].message.tool_calls[0]
    assert called.function.name == "weather" and json.loads(called.function.arguments) == {"city": "Zürich"}
    parts = list(client.chat.completions.create(model="scripted", messages=HI, tools=TOOLS, stream=True))
    assert json.loads("".join(c.choices[0].delta.tool_calls[0].function.arguments for c in parts if c.choices[0].delta.tool_calls)) == {"city": "Zürich"}

    assert client.completions.create(model="chat", prompt="hi", max_tokens=3).usage.completion_tokens == 3
    vectors = client.embeddings.create(model="embed", input=["one", "two"])
    assert [len(v.embedding) for v in vectors.data] == [64, 64]
    response = client.responses.create(model="chat", input="hi", max_output_tokens=5)
    assert response.output_text and response.usage.output_tokens == 5
    kinds = [e.type for e in client.responses.create(model="chat", input="hi", max_output_tokens=5, stream=True)]
    assert kinds[0] == "response.created" and kinds[-1] == "response.completed" and kinds.count("response.output_text.delta") == 5

    refused(openai.NotFoundError, "model_not_found", lambda: client.chat.completions.create(model="none", messages=HI))
    refused(openai.BadRequestError, None, lambda: client.chat.completions.create(model="chat", messages=4))
    refused(openai.AuthenticationError, "invalid_api_key", lambda: client.with_options(api_key="wrong").models.list())
    refused(openai.RateLimitError, "rate_limit_exceeded", lambda: client.with_options(api_key="poor").chat.completions.create(model="chat", messages=HI))
    try:
        list(client.chat.completions.create(model="scripted", messages=HI, stream=True, user="break off"))
        raise AssertionError("the error in the stream is not seen")
    except openai.APIError as e:
        assert "broke off" in e.message and e.code == "upstream_error", e

    # Left in the middle, where the other side would go on for long.
    for model in "chat", "scripted":
        stream = client.chat.completions.create(model=model, messages=HI, max_tokens=1900, stream=True, user="leaves")
        next(iter(stream))
        stream.close()
    print("ok")


def refused(kind, code, call):
    try:
        call()
    except kind as e:
        assert e.code == code or code is None, e
    else:
        raise AssertionError(f"not a {kind}")


if __name__ == "__main__":
    main(*sys.argv[1:])
