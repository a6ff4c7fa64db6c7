"""A kind of subnet in Python: docs/mechanism.md, over standard input and output.

The work of the kind "stamp" is to find eight bytes that make a hash begin with
zeros. It is worth nothing, but it shows every part of the contract: the hash
names the miner, so an answer made for another one is found out.
"""
import base64
import hashlib
import json
import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

BITS = 10  # zeros asked for; a subnet's kind parameters may say {"bits": n}

bits = BITS
seen = {}  # right answers by uid: what is remembered of miners
lock = threading.Lock()  # guards seen and what is written
cancelled = set()


class Fault(Exception):
    def __init__(self, code, message):
        super().__init__(message)
        self.code, self.message = code, message


def say(line):
    with lock:
        sys.stdout.write(json.dumps(line) + "\n")
        sys.stdout.flush()


def digest(task, body, stamp):
    text = [task["validator"]["peer_id"], task["miner"]["peer_id"], task["id"]]
    return hashlib.sha256("\n".join(text).encode() + body + stamp).digest()


def zeros(hashed):
    return 256 - int.from_bytes(hashed, "big").bit_length()


def hello(params):
    global bits
    if params["version"] != 1:
        raise Fault("bad_version", "this program speaks version 1")
    bits = int((params.get("kind_params") or {}).get("bits", BITS))
    return {"version": 1, "kind": "stamp"}


def challenge(params):
    return {"body": base64.b64encode(bytes([bits]) + os.urandom(16)).decode()}


def read(task):
    body = base64.b64decode(task["body"] or "")
    if len(body) != 17 or body[0] > 24:
        raise Fault("bad_task", "a task has 17 bytes, the first at most 24")
    return body


def work(call, params):
    task = params["task"]
    body = read(task)
    for n in range(1 << 32):
        if n % 1024 == 0 and call in cancelled:
            raise Fault("cancelled", "nobody waits any more")
        stamp = n.to_bytes(8, "big")
        if zeros(digest(task, body, stamp)) >= body[0]:
            say({"id": call, "chunk": base64.b64encode(stamp).decode()})
            return {}


def score(params):
    return {"scores": [judge(t["task"], t["answer"]) for t in params["trials"]]}


def judge(task, answer):
    if answer["error"]:
        return {"value": 0, "reason": "no answer: " + answer["error"]}
    body = read(task)
    stamp = base64.b64decode(answer["body"] or "")
    if len(stamp) != 8 or zeros(digest(task, body, stamp)) < body[0]:
        return {"value": 0, "reject": True, "reason": "the stamp is not this miner's for this task"}
    with lock:
        uid = str(task["miner"]["uid"])
        seen[uid] = seen.get(uid, 0) + 1
    return {"value": 1, "units": 1 << body[0]}


def forget(params):
    with lock:
        seen.pop(str(params["uid"]), None)
    return {}


def snapshot(params):
    with lock:
        return {"state": base64.b64encode(json.dumps(seen, sort_keys=True).encode()).decode()}


def restore(params):
    kept = {}
    if params["state"] is not None:
        try:
            kept = json.loads(base64.b64decode(params["state"]))
            if not all(k.isdigit() and v > 0 for k, v in kept.items()):
                raise ValueError("a count below 1")
        except (ValueError, AttributeError, TypeError) as e:
            raise Fault("bad_state", str(e)) from e
    with lock:
        seen.clear()
        seen.update(kept)
    return {}


METHODS = {
    "hello": hello, "challenge": challenge, "score": score,
    "forget": forget, "snapshot": snapshot, "restore": restore,
}


def serve(line):
    call, method, params = line["id"], line["method"], line["params"]
    try:
        if method == "work":
            result = work(call, params)
        elif method in METHODS:
            result = METHODS[method](params)
        else:
            raise Fault("unknown_method", method)
        say({"id": call, "result": result})
    except Fault as f:
        say({"id": call, "error": {"code": f.code, "message": f.message}})
    except Exception as e:  # a bug here must not end the program
        print(repr(e), file=sys.stderr, flush=True)
        say({"id": call, "error": {"code": "internal", "message": "see the log"}})
    finally:
        cancelled.discard(call)


def main():
    with ThreadPoolExecutor(8) as pool:
        for text in sys.stdin:
            line = json.loads(text)
            if line["method"] == "cancel":
                cancelled.add(line["params"]["id"])
            elif line["method"] == "work":  # may take long
                pool.submit(serve, line)
            else:  # in order
                serve(line)


if __name__ == "__main__":
    main()
