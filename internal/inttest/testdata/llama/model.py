"""Writes a tiny language model with random weights as a GGUF file: model.py PATH.

It is a llama with two layers whose tokens are the 256 bytes and the marks of a
chat. What it says is noise of printable characters, the same with every seed of
the sampler, which is all that a test of what stands in front of it needs.
"""

import sys

import gguf
import numpy

EMBEDDING, HEADS, LAYERS, FORWARD, CONTEXT = 64, 2, 2, 96, 4096
MARKS = ["<|begin|>", "<|im_start|>", "<|im_end|>"]

# Roles and texts one after another, and the tools as JSON in front.
TEMPLATE = (
    "{% if tools %}<|im_start|>system\n{{ tools | tojson }}<|im_end|>\n{% endif %}"
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def byte_names():
    """The characters by which GPT-2's byte-level vocabulary writes the bytes."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    names, extra = {b: chr(b) for b in plain}, 0
    for b in range(256):
        if b not in names:
            names[b] = chr(256 + extra)
            extra += 1
    return [names[b] for b in range(256)]


def main(path):
    names = byte_names()
    tokens = [*names, names[ord(" ")] + "a", *MARKS]
    first_mark = len(tokens) - len(MARKS)
    w = gguf.GGUFWriter(path, "llama")
    w.add_name("noise")
    w.add_context_length(CONTEXT)
    w.add_embedding_length(EMBEDDING)
    w.add_block_count(LAYERS)
    w.add_feed_forward_length(FORWARD)
    w.add_head_count(HEADS)
    w.add_head_count_kv(HEADS)
    w.add_layer_norm_rms_eps(1e-5)
    w.add_rope_dimension_count(EMBEDDING // HEADS)
    w.add_vocab_size(len(tokens))
    w.add_file_type(gguf.LlamaFileType.ALL_F32)
    w.add_tokenizer_model("gpt2")
    w.add_tokenizer_pre("gpt-2")
    w.add_token_list(tokens)
    w.add_token_types([gguf.TokenType.NORMAL] * first_mark + [gguf.TokenType.CONTROL] * len(MARKS))
    w.add_token_merges([names[ord(" ")] + " a"])
    w.add_bos_token_id(first_mark)
    w.add_eos_token_id(first_mark + 2)
    w.add_add_bos_token(False)
    w.add_chat_template(TEMPLATE)

    random = numpy.random.default_rng(7)

    def noise(*shape):
        return (random.standard_normal(shape) * 0.05).astype(numpy.float32)

    # The first dimension is the same in every state. By it the output likes the
    # printable characters, and the end of the answer hardly.
    embedding = noise(len(tokens), EMBEDDING)
    embedding[:, 0] = 1
    output = noise(len(tokens), EMBEDDING) * 8
    output[:, 0] = -10
    output[32:127, 0] = 2
    w.add_tensor("token_embd.weight", embedding)
    w.add_tensor("output_norm.weight", numpy.ones(EMBEDDING, numpy.float32))
    w.add_tensor("output.weight", output)
    for i in range(LAYERS):
        for name, shape in {
            "attn_q": (EMBEDDING, EMBEDDING),
            "attn_k": (EMBEDDING, EMBEDDING),
            "attn_v": (EMBEDDING, EMBEDDING),
            "attn_output": (EMBEDDING, EMBEDDING),
            "ffn_gate": (FORWARD, EMBEDDING),
            "ffn_up": (FORWARD, EMBEDDING),
            "ffn_down": (EMBEDDING, FORWARD),
        }.items():
            w.add_tensor(f"blk.{i}.{name}.weight", noise(*shape))
        for name in ("attn_norm", "ffn_norm"):
            w.add_tensor(f"blk.{i}.{name}.weight", numpy.ones(EMBEDDING, numpy.float32))
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


if __name__ == "__main__":
    main(sys.argv[1])
