"""Writes similarity.json: what rouge-score 0.1.2, sacrebleu 2.5.1 and SQuAD's
script say about random sentences.

    similarity.py > similarity.json
"""
import collections
import json
import random
import re
import string

import sacrebleu
from rouge_score import rouge_scorer

random.seed(7)
VOCABULARY = "the a an quick brown fox jumps over lazy dog log, Answer is 42. 3.14 Paris! in France; (capital) city of no yes model's".split()
rouge = rouge_scorer.RougeScorer(["rougeL"], use_stemmer=False)


def squad(s):
    s = "".join(c for c in s.lower() if c not in string.punctuation)
    return re.sub(r"\b(a|an|the)\b", " ", s).split()


def f1(got, want):
    got, want = squad(got), squad(want)
    same = sum((collections.Counter(got) & collections.Counter(want)).values())
    if not got or not want:
        return float(got == want)
    if same == 0:
        return 0.0
    p, r = same / len(got), same / len(want)
    return 2 * p * r / (p + r)


def edits(a, b):
    row = list(range(len(b) + 1))
    for i, x in enumerate(a):
        last, row[0] = row[0], i + 1
        for j, y in enumerate(b):
            last, row[j + 1] = row[j + 1], min(last + (x != y), row[j] + 1, row[j + 1] + 1)
    return row[-1]


cases = []
for i in range(200):
    want = [random.choice(VOCABULARY) for _ in range(random.randint(0 if i % 20 == 0 else 1, 14))]
    got = [w for w in want if random.random() > 0.2] + [random.choice(VOCABULARY) for _ in range(random.randint(0, 4))]
    if i % 3 == 0:
        random.shuffle(got)
    got, want = " ".join(got), " ".join(want)
    tokens = lambda s: re.sub(r"[^a-z0-9]+", " ", s.lower()).strip()
    cases.append({
        "got": got, "want": want,
        "rouge_l": rouge.score(want, got)["rougeL"].fmeasure,
        "bleu": sacrebleu.sentence_bleu(tokens(got), [tokens(want)], tokenize="none", use_effective_order=False).score / 100,
        "chrf": sacrebleu.sentence_chrf(got, [want]).score / 100,
        "token_f1": f1(got, want),
        "edits": edits(got, want),
    })
print(json.dumps(cases, indent=0))
