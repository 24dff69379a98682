"""`python3 -m unittest test_train` in this folder: gradients against autograd, the file against the model, the corpus."""
import argparse
import dataclasses
import json
import math
import os
import random
import re
import subprocess
import sys
import tempfile
import unittest

import numpy as np
import torch
import torch.distributed as dist

import gguf
import grow
import train
from corpus import build, names, programs, sums
from data import PAD, Batches, Data
from model import Config, Gate, Model, NormQuantise, Rotate, TernaryMatmul, rope_tables, ternarise, turn
from tokenizer import QWEN2, SENTENCEPIECE, SPECIAL, SPLIT, Tokenizer, restyled
from tokenizer import train as train_tokenizer

SMALL = Config(dim=128, layers=2, heads=2, kv_heads=1, ffn=256, vocab=320, context=64)
LLAMA = dataclasses.replace(SMALL, arch="llama", dim=256, heads=4, head_dim=64, tied=False)
QWEN = dataclasses.replace(SMALL, arch="qwen3", head_dim=96, ffn=192)
TEST_SIZE = dict(config=Config(dim=128, layers=1, heads=2, kv_heads=1, ffn=128, vocab=512, context=128), length=64, batch=256, steps=20, rate=5e-3, megabytes=0.1)
# train.py with a size for tests
PROGRAM = "import train, test_train; train.SIZES['test'] = dict(test_train.TEST_SIZE, steps=10); train.main()"


def through(x, rounded):
    """`rounded` on the way forward, the identity on the way back."""
    return x + (rounded - x).detach()


def plain_norm(x, gain, eps=1e-5):
    return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + eps) * gain


def plain_quantise(y):
    step = y.abs().amax(-1, keepdim=True).clamp(min=1e-5) / 127
    return through(y, (y / step).round() * step)


def plain_ternary(weight, group):
    """Each scale beside its weights, as a loop would find them."""
    parts = weight.detach().split(group or weight.shape[1], 1)
    scales = [p.abs().mean(1, keepdim=True).half().float() if group else weight.detach().abs().mean() for p in parts]
    return through(weight, torch.cat([(p / s).round().clamp(-1, 1) * s for p, s in zip(parts, scales)], 1))


def plain_turn(z, cos, sin, adjacent):
    first, second = (torch.arange(0, z.shape[-1], 2), torch.arange(1, z.shape[-1], 2)) if adjacent else torch.arange(z.shape[-1]).chunk(2)
    out = torch.zeros_like(z)
    out[..., first], out[..., second] = z[..., first] * cos - z[..., second] * sin, z[..., second] * cos + z[..., first] * sin
    return out


def plain_model(model: Model, ids):
    """The forward pass in one op a line, with nothing fused and no hand-written backward: the oracle of the gradients."""
    c, f, p = model.c, model.c.family, dict(model.named_parameters())
    bit = lambda h, weight: h @ plain_ternary(weight, f.group).t()
    rounded = plain_quantise if f.rounded else lambda h: h
    norm = lambda x, gain: x if gain is None else plain_norm(x, gain, c.eps)
    rows, length = ids.shape
    cos, sin = model.cos[:length], model.sin[:length]
    mask = torch.full((length, length), -math.inf).triu(1)
    table = plain_ternary(p["token_embd.weight"], f.group) if f.table == "Q2_0" else p["token_embd.weight"]
    x = table[ids]
    for n in range(c.layers):
        w = {k[len(f"blk.{n}."):-len(".weight")]: v for k, v in p.items() if k.startswith(f"blk.{n}.")}
        h = rounded(norm(x, w["attn_norm"]))
        q, k, v = (bit(h, w[z]).view(rows, length, -1, c.head_dim).transpose(1, 2) for z in ("attn_q", "attn_k", "attn_v"))
        q, k = (plain_turn(norm(z, w.get(gain)), cos, sin, f.adjacent) for z, gain in ((q, "attn_q_norm"), (k, "attn_k_norm")))
        k, v = (z.repeat_interleave(c.heads // c.kv_heads, 1) for z in (k, v))
        a = (q @ k.transpose(-1, -2) / math.sqrt(c.head_dim) + mask).softmax(-1) @ v
        x = x + bit(rounded(norm(a.transpose(1, 2).reshape(rows, length, -1), w.get("attn_sub_norm"))), w["attn_output"])
        h = rounded(norm(x, w["ffn_norm"]))
        gate = bit(h, w["ffn_gate"])
        g = (gate * gate.sigmoid() if f.silu else gate.relu().square()) * bit(h, w["ffn_up"])
        x = x + bit(rounded(norm(g, w.get("ffn_sub_norm"))), w["ffn_down"])
    return norm(x, p["output_norm.weight"]) @ (table if c.tied else p["output.weight"]).t()


def tiny_model(config: Config = SMALL) -> Model:
    torch.manual_seed(0)
    model = Model(config)
    with torch.no_grad():
        for name, p in model.named_parameters():
            if "norm" in name:
                p.add_(torch.randn_like(p) * 0.1)
    return model


class Gradients(unittest.TestCase):
    def test_whole_model_agrees_with_autograd(self):
        for config in (SMALL, LLAMA, QWEN):
            with self.subTest(config.arch):
                self.check_gradients(tiny_model(config))

    def check_gradients(self, model):
        ids = torch.randint(0, SMALL.vocab, (3, 33))
        grads = []
        for forward in (model, lambda x: plain_model(model, x)):
            model.zero_grad()
            loss = torch.nn.functional.cross_entropy(forward(ids[:, :-1]).reshape(-1, SMALL.vocab), ids[:, 1:].reshape(-1))
            loss.backward()
            grads.append((loss.item(), {n: p.grad.clone() for n, p in model.named_parameters()}))
        self.assertAlmostEqual(grads[0][0], grads[1][0], places=3)
        for name, ours in grads[0][1].items():
            plain = grads[1][1][name]
            cosine = torch.nn.functional.cosine_similarity(ours.flatten(), plain.flatten(), 0).item()
            # a code that rounds the other way moves a gradient a little; a wrong formula moves it much more
            self.assertGreater(cosine, 0.999, name)
            self.assertAlmostEqual((ours.norm() / plain.norm()).item(), 1, delta=0.01, msg=name)

    def test_gate_and_rotation_by_finite_differences(self):
        g, u = (torch.randn(3, 8, dtype=torch.float64, requires_grad=True) for _ in range(2))
        self.assertTrue(torch.autograd.gradcheck(Gate.apply, (g, u)))
        cos, sin = (t.double() for t in rope_tables(5, 8, 10000.0))
        x = torch.randn(1, 2, 5, 8, dtype=torch.float64, requires_grad=True)
        for adjacent in (False, True):
            self.assertTrue(torch.autograd.gradcheck(lambda z: Rotate.apply(z, cos, sin, adjacent), (x,)))

    def test_norm_by_finite_differences_and_rounding(self):
        x = torch.randn(4, 16, dtype=torch.float64, requires_grad=True)
        gain = torch.randn(16, dtype=torch.float64, requires_grad=True)
        out = torch.randn(4, 16, dtype=torch.float64)
        codes, step = NormQuantise.apply(x, gain, 1e-5)
        self.assertEqual(codes.abs().amax(-1).tolist(), [127.0] * 4)
        self.assertTrue(torch.equal(codes, codes.round()))
        ours = torch.autograd.grad((codes * out).sum(), (x, gain))
        plain = torch.autograd.grad((plain_norm(x, gain) * out).sum(), (x, gain))
        for a, b in zip(ours, plain):
            self.assertTrue(torch.allclose(a, b, atol=1e-10))

    def test_bfloat16_matmuls_give_nearly_the_same_loss(self):
        model, ids = tiny_model(), torch.randint(0, SMALL.vocab, (2, 40))
        a, b = (torch.nn.functional.cross_entropy(model(ids[:, :-1], dtype).float().reshape(-1, SMALL.vocab), ids[:, 1:].reshape(-1)) for dtype in (torch.float32, torch.bfloat16))
        b.backward()
        self.assertAlmostEqual(a.item(), b.item(), delta=0.05)

    def test_causal(self):
        model, ids = tiny_model(), torch.randint(0, SMALL.vocab, (1, 20))
        changed = ids.clone()
        changed[0, 10:] = (changed[0, 10:] + 1) % SMALL.vocab
        self.assertTrue(torch.allclose(model(ids)[:, :10], model(changed)[:, :10], atol=1e-5))


class File(unittest.TestCase):
    def test_packing_is_the_128_32_layout(self):
        ternary = np.random.default_rng(0).integers(-1, 2, (2, 256)).astype(np.float32)
        raw = gguf.pack_i2s(ternary, 0.5)
        self.assertEqual(len(raw), 2 * 256 // 4 + 32)
        codes = (ternary.reshape(-1) + 1).astype(int)
        self.assertEqual(raw[0], codes[0] << 6 | codes[32] << 4 | codes[64] << 2 | codes[96])
        self.assertEqual(raw[32 + 5], codes[128 + 5] << 6 | codes[128 + 37] << 4 | codes[128 + 69] << 2 | codes[128 + 101])
        self.assertEqual(np.frombuffer(raw, "<f4", 1, 128)[0], 0.5)
        back, scale = gguf.unpack_i2s(raw, (2, 256))
        self.assertTrue((back == ternary).all() and scale == 0.5)

    def test_blocks_with_their_scales(self):
        r = np.random.default_rng(0)
        for kind, size, code in (
            ("TQ2_0", 256, lambda raw, i: raw[i // 128 * 32 + i % 32] >> 2 * (i % 128 // 32) & 3),
            ("Q2_0", 64, lambda raw, i: raw[2 + i // 4] >> 2 * (i % 4) & 3),
        ):
            values, scales = r.integers(-1, 2, (3, 2 * size)).astype(np.float32), np.linspace(0.5, 3, 6, dtype=np.float16)
            raw = gguf.pack_blocks(kind, values, scales)
            each = len(raw) // 6
            self.assertEqual(each, size // 4 + 2)
            for block in range(6):
                part = raw[block * each:(block + 1) * each]
                self.assertEqual([code(part, i) - 1 for i in range(size)], values.reshape(6, size)[block].tolist(), kind)
                self.assertEqual(np.frombuffer(part, "<f2", 1, 0 if kind == "Q2_0" else 64)[0], scales[block])
            expected = (values.reshape(6, size) * scales[:, None].astype(np.float32)).reshape(3, 2 * size)
            self.assertTrue((gguf.unpack_blocks(kind, raw, (3, 2 * size)) == expected).all())

    def test_q8_0_is_near(self):
        weight = np.random.default_rng(0).normal(size=(4, 64)).astype(np.float32)
        raw = gguf.pack_blocks("Q8_0", *gguf.rounded_q8(weight))
        self.assertEqual(len(raw), 8 * 34)
        self.assertLess(np.abs(gguf.unpack_blocks("Q8_0", raw, (4, 64)) - weight).max(), 0.02)

    def test_written_file_computes_what_the_model_does(self):
        for config in (SMALL, LLAMA, QWEN):
            with self.subTest(config.arch):
                self.check_file(tiny_model(config))

    def check_file(self, model):
        from check import Engine
        tokens = [f"t{i}" for i in range(SMALL.vocab - len(SPECIAL))] + SPECIAL
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "m.gguf")
            gguf.export(path, model, Tokenizer(tokens, []), "test")
            engine = Engine(path)
        with torch.no_grad():  # the file rounds the embedding and a head of its own
            for name, weight in model.named_parameters():
                if name in ("token_embd.weight", "output.weight") and model.c.family.table != "Q2_0":
                    weight.copy_(torch.from_numpy(engine.tensors[name].copy()))
        ids = torch.randint(0, SMALL.vocab, (1, 24))
        expected = model(ids)[0].detach().numpy()
        whole = engine.start().feed(ids.numpy())[0]
        session = engine.start()
        stepwise = np.concatenate([session.feed(ids[:, [i]].numpy())[0] for i in range(24)])
        for got in (whole, stepwise):
            self.assertLess(np.abs(got - expected).max() / np.abs(expected).max(), 0.02)


class Loop(unittest.TestCase):
    def setUp(self):
        train.SIZES["test"] = TEST_SIZE
        self.addCleanup(train.SIZES.pop, "test")

    def run_for(self, folder: str, stops: list[int]):
        """Trains to each of the stops with a new process's state every time: only what was saved goes over."""
        data = Data(folder, 512, 0.1, seed=1)
        batches = Batches(data, 64, 4, seed=1)
        losses = []
        for stop in stops:
            run = train.Run(argparse.Namespace(size="test", steps=None, minutes=None, rate=None, seed=1, compile=False, workers=1, from_gguf=None, start=None), folder)
            run.forward = run.model
            while run.done < stop:
                losses.append(run.step(batches[run.done]).item())
            run.save()
        return losses

    def test_loss_falls_and_a_resumed_run_is_the_same_run(self):
        with tempfile.TemporaryDirectory() as a, tempfile.TemporaryDirectory() as b:
            whole, resumed = self.run_for(a, [20]), self.run_for(b, [7, 20])
        self.assertEqual(whole, resumed)
        self.assertLess(whole[-1], whole[0] - 0.5)

    def test_the_rate_rises_and_falls_to_nearly_nothing(self):
        rates = [train.rate_at(step / 1000, 1.0) for step in range(1001)]
        self.assertLess(rates[0], 0.1)
        self.assertGreater(max(rates), 0.98)
        self.assertEqual(rates[20:], sorted(rates[20:], reverse=True))
        self.assertAlmostEqual(rates[1000], 0.01)

    def test_time_decides_the_progress_where_minutes_are_given(self):
        o = argparse.Namespace(size="test", steps=None, minutes=2, rate=None, seed=1, compile=False, workers=1, from_gguf=None, start=None)
        with tempfile.TemporaryDirectory() as folder:
            run = train.Run(o, folder)
        run.done, run.seconds = 15, 30.0
        self.assertEqual(run.progress, 0.25)

    def test_two_workers_train_like_one(self):
        """The whole command, as a program: the losses differ only by the order of the float sums."""
        losses = []
        for workers in ("1", "2"):
            with tempfile.TemporaryDirectory() as folder:
                command = [sys.executable, "-c", PROGRAM, "--size", "test", "--workers", workers, "--threads", "1", "--every", "5", "--out", folder]
                subprocess.run(command, check=True, cwd=os.path.dirname(os.path.abspath(__file__)), stdout=subprocess.DEVNULL)
                with open(os.path.join(folder, "log.jsonl")) as f:
                    losses.append([json.loads(line)["loss"] for line in f])
        self.assertEqual(len(losses[0]), 2)  # the last two of the ten steps have long rows: one of 128 for each worker
        np.testing.assert_allclose(*losses, atol=0.02)

    def test_a_shared_loss_holds_no_gradients(self):
        """Kept by the hundred until the next report, as views they would hold every step's gradients."""
        with tempfile.TemporaryDirectory() as folder:
            dist.init_process_group("gloo", init_method=f"file://{folder}/workers", rank=0, world_size=1)
            self.addCleanup(dist.destroy_process_group)
            run = train.Run(argparse.Namespace(size="test", steps=None, minutes=None, rate=None, seed=1, workers=1, from_gguf=None, start=None), folder)
        for p in run.model.parameters():
            p.grad = torch.ones_like(p)
        loss = run.share(torch.tensor(2.5))
        self.assertEqual(loss.item(), 2.5)
        self.assertEqual(loss.storage().size(), 1)

    def test_rows_hold_whole_documents(self):
        with tempfile.TemporaryDirectory() as folder:
            data = Data(folder, 512, 0.1, seed=1)
        tokens, kinds = data.rows("train", 255, range(len(data.documents["train"])))
        self.assertEqual((tokens != PAD).sum(), sum(min(len(d), 256) for d in data.documents["train"]))
        self.assertTrue((tokens[:, 0] == data.tokenizer.bos).all())
        self.assertLess((tokens == PAD).mean(), 0.1)


class Growth(unittest.TestCase):
    def grown(self, layers: int):
        """A model of two blocks, its file's tensors, and a deeper model grown from them."""
        shallow = tiny_model()
        tokens = [f"t{i}" for i in range(SMALL.vocab - len(SPECIAL))] + SPECIAL
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "m.gguf")
            gguf.export(path, shallow, Tokenizer(tokens, []), "test")
            tensors, tokenizer = grow.read(path)
        self.assertEqual(tokenizer.tokens, tokens)
        deep = Model(dataclasses.replace(SMALL, layers=layers))
        grow.grow(deep, tensors, seed=1)
        return shallow, tensors, deep

    def test_masters_ternarise_to_the_codes_and_scale_of_the_file(self):
        _, tensors, deep = self.grown(2)
        for name, (codes, scale) in ((n, t) for n, t in tensors.items() if isinstance(t, tuple)):
            ternary, mean = ternarise(dict(deep.named_parameters())[name].detach())
            self.assertGreater((ternary.numpy() == codes).mean(), 0.99, name)
            self.assertAlmostEqual(mean.item() / scale, 1, delta=0.02, msg=name)

    def test_blocks_are_stacked_and_copies_add_a_share(self):
        _, tensors, deep = self.grown(5)
        for new, (old, added) in enumerate(((0, 1), (1, 1), (0, grow.SHARE), (1, grow.SHARE), (0, grow.SHARE))):
            for kind, share in (("ffn_up", 1), ("ffn_down", added)):
                codes, scale = tensors[f"blk.{old}.{kind}.weight"]
                ternary, mean = ternarise(dict(deep.named_parameters())[f"blk.{new}.{kind}.weight"].detach())
                self.assertGreater((ternary.numpy() == codes).mean(), 0.99)
                self.assertAlmostEqual(mean.item() / share / scale, 1, delta=0.02)

    def test_the_grown_model_computes_nearly_the_same(self):
        shallow, _, deep = self.grown(4)
        ids = torch.randint(0, SMALL.vocab, (1, 24))
        a, b, other = (m(ids).detach().flatten() for m in (shallow, deep, Model(deep.c)))
        self.assertGreater(torch.nn.functional.cosine_similarity(a, b, 0).item(), 0.95)
        self.assertLess(torch.nn.functional.cosine_similarity(a, other, 0).item(), 0.5)

    def test_another_width_is_refused(self):
        _, tensors, _ = self.grown(2)
        with self.assertRaisesRegex(ValueError, "can grow in depth only"):
            grow.grow(Model(dataclasses.replace(SMALL, ffn=384)), tensors, seed=1)


class Text(unittest.TestCase):
    def test_every_program_runs(self):
        self.assertEqual(len(programs.PROGRAMS), len(programs.CHECKS))
        for (tasks, code, _), check in zip(programs.PROGRAMS, programs.CHECKS):
            scope = {}
            exec(code, scope)
            self.assertTrue(eval(check, scope), tasks[0])

    def test_the_working_of_sums(self):
        r = random.Random(0)
        for _ in range(500):
            a, b = r.randrange(1000), r.randrange(1000)
            self.assertTrue(sums.working(a, b).endswith(f"The answer is {a + b}."))

    def test_the_corpus_is_seeded_and_split(self):
        a, b = build.documents(5, 30000), build.documents(5, 30000)
        self.assertEqual(a, b)
        held = build.documents(6, 30000, held=True)
        trained = {"".join(d) for _, d in build.documents(1, 1000000)}
        stories = [d for kind, d in held if kind in ("stories", "sums")]
        self.assertFalse([d for d in stories if "".join(d) in trained])
        for _, d in a + held:
            self.assertTrue(d[-1].endswith((build.END, build.TURN)))

    def test_words_take_their_article(self):
        for word, article in dict(aunt="an", honest="an", hour="an", house="a", uncle="an", dragon="a").items():
            self.assertEqual(names.article(word), f"{article} {word}")
        text = " ".join(piece for kind, d in build.documents(4, 500000) if kind == "stories" for piece in d)
        self.assertEqual(re.findall(r"\b[Aa] (?:[eio]|a(?!nd))\w*|\b[Aa] honest", text), [])
        self.assertEqual(re.findall(r"\b[Ii]n (?:in|on)\b", text), [])

    def test_an_invented_hero_has_one_pronoun(self):
        r = random.Random(0)
        pronouns = {}
        for _ in range(2000):
            x, pronoun = names.name(r, held=True)
            self.assertEqual(pronouns.setdefault(x, pronoun), pronoun)
        self.assertEqual(set(pronouns.values()), {"she", "he"})

    def test_the_split_is_llama_3s(self):
        cases = {"Hello world": ["Hello", " world"], "it's 12345!": ["it", "'s", " ", "123", "45", "!"], "a\n\n  b": ["a", "\n\n", " ", " b"],
                 "x  = 1": ["x", " ", " =", " ", "1"], "snake_case": ["snake", "_case"], "end.\nNext": ["end", ".\n", "Next"], "Assistant: ": ["Assistant", ":", " "]}
        for text, parts in cases.items():
            self.assertEqual(SPLIT.findall(text), parts)

    def test_other_tokenizers(self):
        texts = ["".join(d) for _, d in build.documents(3, 60000)]
        for kind in (QWEN2, SENTENCEPIECE):
            tokenizer = Tokenizer(*train_tokenizer(texts, 512, kind), kind)
            self.assertEqual(len(tokenizer.tokens), 512)
            blank = " " if kind is SENTENCEPIECE else ""
            for text in ("Zürich 47 + 38 \n\t x", "  two  blanks", "2048", "snow_man's, 🙂"):
                self.assertEqual(tokenizer.decode(tokenizer.encode(text)), blank + text)
            self.assertEqual(len(tokenizer.encode("2048", begins=False)), 4)
        tokens = tokenizer.tokens
        self.assertEqual([tokens[i] for i in tokenizer.encode("the é")][:1] + [tokens[i] for i in tokenizer.encode("é", False)], ["\u2581the", "<0xC3>", "<0xA9>"])
        self.assertEqual(tokenizer.scores[259:262], [0.0, -1.0, -2.0])
        self.assertEqual(tokenizer.types[:4] + tokenizer.types[-1:], [2, 3, 3, 6, 1])

    def test_documents_in_the_form_of_each_tokenizer(self):
        document = ["System: Hi.<|eot_id|>User: Who?<|eot_id|>Assistant: ", "Me.<|eot_id|>", "User: Oh<|eot_id|>Assistant: ", "Yes<|eot_id|>"]
        self.assertEqual(restyled(document, QWEN2), [
            "<|im_start|>system\nHi.<|im_end|>\n<|im_start|>user\nWho?<|im_end|>\n<|im_start|>assistant\n", "Me.<|im_end|>",
            "\n<|im_start|>user\nOh<|im_end|>\n<|im_start|>assistant\n", "Yes<|im_end|>"])
        self.assertEqual(restyled(["Who?", "\nMe.<|end_of_text|>"], SENTENCEPIECE), ["Who?", "\nMe.</s>"])
        self.assertEqual(restyled(document[:1], SENTENCEPIECE), ["<|system|>\nHi.</s>\n<|user|>\nWho?</s>\n<|assistant|>\n"])

    def test_tokenizer_round_trip(self):
        texts = ["".join(d) for _, d in build.documents(3, 60000)]
        tokenizer = Tokenizer(*train_tokenizer(texts, 512))
        self.assertEqual(len(tokenizer.tokens), 512)
        for text in texts[:50] + ["Zürich 47 + 38 <|eot_id|> \n\t x"]:
            self.assertEqual(tokenizer.decode(tokenizer.encode(text)), text)
        self.assertEqual(len(tokenizer.encode("2048")), 4)


if __name__ == "__main__":
    unittest.main()
