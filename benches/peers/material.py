"""Makes what the peers read: pages and rows of events, an archive of both kinds, and payloads.

usage: material.py BINARY FOLDER EVENTS PAYLOADS

Events come from the emulator, as `extract` archives them. Payloads are chats in several scripts, of words that are as
frequent as those of a language (Zipf), so that they compress like one; they are archived in the same form.

FOLDER/archive, FOLDER/payload-archive   what `copilot-lake replay` reads
FOLDER/pages/*.json, FOLDER/rows.ndjson  the same events as served, and a row a line
FOLDER/payloads.ndjson                   the same payloads: id, time, base64
"""

import base64
import hashlib
import json
import pathlib
import random
import subprocess
import sys
import time
import uuid

import orjson
import zstandard

SCENARIO = 'seed = 1\nclock = 2025-11-05T12:00:00Z\n[[table]]\nname = "msdyn_copilotevent"\nrows = {}\nweeks = 12\n'
# The archive's frame of a line feed, which keeps entries apart.
LINE_FEED = bytes.fromhex("28b52ffd2001090000") + b"\n"
# Payloads of an archive: a bundle of that stays below the archive's bound of 128 MiB.
PAYLOADS_OF_ARCHIVE = 20_000
# The weeks that payloads are spread over, and the first of them.
WEEKS, FIRST_WEEK, SECONDS_OF_WEEK = 12, 1_754_784_000, 7 * 86_400


def extract_events(binary, folder, rows):
    """An archive of that many events, which the emulator serves."""
    scenario = folder / "scenario.toml"
    scenario.write_text(SCENARIO.format(rows))
    emulator = subprocess.Popen([binary, "emulator", "--scenario", scenario], stdout=subprocess.PIPE, text=True)
    try:
        lines = []
        for line in emulator.stdout:
            if line.startswith("[graph]"):
                break
            lines.append(line)
        configuration = folder / "copilot-lake.toml"
        configuration.touch(mode=0o600)
        configuration.write_text("".join(lines) + "payloads = false\n[lake]\narchive_raw = true\n")
        command = [binary, "extract", "-q", "--no-progress", "--config", configuration, "--lake", folder / "lake"]
        subprocess.run(command, check=True)
    finally:
        emulator.kill()
        emulator.wait()
    (folder / "lake" / "_raw" / "msdyn_copilotevent").rename(folder / "archive")
    subprocess.run(["rm", "-r", folder / "lake"], check=True)


def unpack_events(folder):
    """Pages as files, and their rows as lines."""
    (folder / "pages").mkdir()
    count = 0
    with open(folder / "rows.ndjson", "wb") as rows:
        for index in sorted((folder / "archive").rglob("index.jsonl.zst")):
            for line in zstandard.ZstdDecompressor().decompressobj().decompress(index.read_bytes()).splitlines():
                at = json.loads(line)
                with open(index.parent / f"bundle-{at['bundle']:04}.zst", "rb") as bundle:
                    bundle.seek(at["offset"])
                    page = zstandard.ZstdDecompressor().decompress(bundle.read(at["length"]))
                count += 1
                (folder / "pages" / f"{count:05}.json").write_bytes(page)
                rows.writelines(orjson.dumps(row) + b"\n" for row in orjson.loads(page)["value"])


class Language:
    """Words, and how often each occurs."""

    def __init__(self, chance, syllables, words, sentence_ends, space=" "):
        made = {"".join(chance.choices(syllables, k=chance.choice((1, 2, 2, 3, 3, 4)))) for _ in range(2 * words)}
        made = chance.sample(sorted(made), min(words, len(made)))
        # Frequent words are short, more or less.
        self.words = sorted(made, key=lambda word: (len(word) + 6 * chance.random(), word))
        total, self.weights = 0, []
        for rank in range(len(self.words)):
            total += 1 / (rank + 2.7)
            self.weights.append(total)
        self.ends, self.space = sentence_ends, space

    def text(self, chance, length):
        """Sentences of about that many characters."""
        words = chance.choices(self.words, cum_weights=self.weights, k=max(4, length // (3 + len(self.space))))
        at = 0
        while at < len(words):
            words[at] = words[at].capitalize()
            at += chance.randint(5, 24)
            words[min(at, len(words)) - 1] += chance.choice(self.ends)
        return self.space.join(words)[:length]


def syllables(chance, consonants, vowels):
    ends = ["", "", *consonants]
    return [chance.choice(consonants) + chance.choice(vowels) + chance.choice(ends) for _ in range(700)] + list(vowels)


def languages(chance):
    """The languages of chats, and how many of a hundred are in each."""
    ends = [".", ".", ".", "?", "!", ".\n\n", "\u2019s\u201d.", " \u2013", ":\n- ", " \U0001f600"]
    latin = syllables(chance, "ttnnsshhrrdlcmwfgpbvk", "eeeaaoiu")
    accented = syllables(chance, "ttnnssrrdlcmwfgpbvkßç", "eeeaaoiuäöüéèàôã")
    cyrillic = syllables(chance, "бвгджзклмнпрстфхцчшщ", "аеиоуыэюя")
    yield 65, Language(chance, latin, 30_000, ends)
    yield 25, Language(chance, accented, 40_000, ends)
    yield 5, Language(chance, cyrillic, 30_000, ends)
    yield 5, Language(chance, [chr(0x4E00 + n) for n in range(2_500)], 20_000, ["\u3002", "\uff0c", "\uff01"], "")


def guid(chance):
    return str(uuid.UUID(int=chance.getrandbits(128), version=4))


def chat(chance, language, session, at):
    """The text of a chat: questions and answers, as the service's files have them."""
    messages, left = [], int(chance.lognormvariate(7.35, 0.6))
    request = guid(chance)
    while left > 0 or len(messages) % 2:
        is_answer = len(messages) % 2 == 1
        length = min(max(left, 60), chance.randint(200, 1_500)) if is_answer else chance.randint(30, 160)
        left -= length
        message = {
            "id": guid(chance), "requestId": request, "message": language.text(chance, length),
            "sequence": len(messages), "user": "bot" if is_answer else "user",
            "timestamp": at * 1_000 + 20_000 * len(messages) + chance.randint(0, 9_999),
            "isActivityError": chance.random() < 0.01, "context": {},
        }
        if is_answer:
            message["context"] = {"customerIntent": language.text(chance, 60)}
            message["sources"] = [
                {"id": guid(chance), "title": language.text(chance, 30), "source": chance.choice(("internal_kb", "sharepoint"))}
                for _ in range(chance.choice((0, 1, 1, 2)))
            ]
        messages.append(message)
    context = {"chatId": guid(chance), "sessionId": session, "entityId": guid(chance), "entityName": "incident"}
    return json.dumps({"messages": messages, "context": context}, ensure_ascii=False, separators=(",", ":"))


def instant(seconds):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def write_payloads(folder, about, count):
    """Archives of payloads, newest week first as `extract` writes them, and the same as lines."""
    chance = random.Random(1)
    shares, spoken = zip(*languages(chance))
    with open(folder / "payloads.ndjson", "wb") as lines:
        for number, begin in enumerate(range(0, count, PAYLOADS_OF_ARCHIVE), 1):
            archive = folder / "payload-archive" / about["run_id"] / f"{number:06}-{number:06}-payloads"
            archive.mkdir(parents=True)
            offset, index = 0, []
            with open(archive / "bundle-0001.zst", "wb") as bundle:
                for at in range(begin, min(begin + PAYLOADS_OF_ARCHIVE, count)):
                    week = WEEKS - 1 - at * WEEKS // count
                    sent = FIRST_WEEK + week * SECONDS_OF_WEEK + chance.randrange(SECONDS_OF_WEEK)
                    language = chance.choices(spoken, shares)[0]
                    text = chat(chance, language, guid(chance), sent)
                    content = base64.b64encode(text.encode("utf-16-le"))
                    row = {
                        "source_table": "msdyn_copilottranscriptdata", "source_id": guid(chance), "source_partitionid": "",
                        "column": "msdyn_transcriptdata", "file_id": guid(chance), "row_name": "transcriptdata.json",
                        "service_name": "transcriptdata.json", "row_time": instant(sent), "documented": "utf-16le",
                        "extracted_at": instant(FIRST_WEEK + WEEKS * SECONDS_OF_WEEK + at // 500),
                    }
                    row |= {"status": None, "size": None, "reason": None}
                    frame = zstandard.ZstdCompressor(level=1, write_checksum=True).compress(content)
                    place = {"bundle": 1, "offset": offset, "length": len(frame), "size": len(content)}
                    place["sha256"] = hashlib.sha256(frame).hexdigest()
                    index.append(json.dumps({"slice": 0, "kind": "payload", **place, "about": row}))
                    bundle.write(frame + LINE_FEED)
                    offset += len(frame) + len(LINE_FEED)
                    line = {"id": row["source_id"], "time": row["row_time"], "content": content.decode()}
                    lines.write(orjson.dumps(line) + b"\n")
            text = "".join(line + "\n" for line in index).encode()
            (archive / "index.jsonl.zst").write_bytes(zstandard.ZstdCompressor(level=1, write_checksum=True).compress(text))
            (archive / "slice.json").write_text(json.dumps(about | {"table": "payload", "selection": "", "counts": False}))


def main(binary, folder, events, payloads):
    folder = pathlib.Path(folder).absolute()
    folder.mkdir(parents=True)
    extract_events(binary, folder, int(events))
    unpack_events(folder)
    about = json.loads(next((folder / "archive").rglob("slice.json")).read_text().splitlines()[0])
    write_payloads(folder, about, int(payloads))
    (folder / "complete").touch()


if __name__ == "__main__":
    if len(sys.argv) != 5:
        sys.exit(__doc__)
    main(*sys.argv[1:])
