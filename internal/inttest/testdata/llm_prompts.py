"""Registers prompts with MLflow's client: llm_prompts.py URL."""

import sys

import mlflow

mlflow.set_tracking_uri(sys.argv[1])
mlflow.genai.register_prompt("greet", "Say hello to {{ name }}.", commit_message="first")
mlflow.genai.register_prompt(
    "greet",
    [
        {"role": "system", "content": "Answer in {{language}}."},
        {"role": "user", "content": "Say hello to {{name}}."},
    ],
)
mlflow.genai.set_prompt_alias("greet", alias="champion", version=1)
mlflow.genai.set_prompt_alias("greet", alias="next", version=2)
