"""Golden texts of chat templates: what Jinja2 makes of each template, in the environment that transformers uses.

    python3 test/golden/chat-templates.py            compare chat-templates.json with what Jinja2 gives
    python3 test/golden/chat-templates.py --write    write its texts

Shares no code with Ternion.
"""

import json
import sys
from datetime import datetime
from pathlib import Path

import jinja2
from jinja2.ext import loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment


class Raised(Exception):
    pass


def raise_exception(message):
    raise Raised(message)


def environment():
    env = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols])
    env.filters["tojson"] = lambda value, **options: json.dumps(value, ensure_ascii=False, **options)
    env.globals["raise_exception"] = raise_exception
    env.globals["strftime_now"] = lambda form: datetime.now().strftime(form)
    return env


def result(env, source, case, variables):
    template = env.from_string(source)
    try:
        return {"text": template.render(**{**variables, **case.get("variables", {})})}
    except Raised as error:
        return {"raised": str(error)}


def main(*options):
    path = Path(__file__).with_suffix(".json")
    golden, env = json.loads(path.read_text()), environment()
    differing = 0
    templates = {case["name"]: case["template"] for case in golden["cases"] if "name" in case and "template" in case}
    for case in golden["cases"]:
        source = case["template"] if "template" in case else templates[case["of"]]
        made = result(env, source, case, golden["variables"])
        differing += made != {name: case[name] for name in ("text", "raised") if name in case}
        for name in ("text", "raised"):
            case.pop(name, None)
        case.update(made)
    if "--write" in options:
        path.write_text(json.dumps(golden, ensure_ascii=False, indent=1) + "\n")
    print(f"Jinja2 {jinja2.__version__}: {differing} of {len(golden['cases'])} cases differ from {path.name}")
    sys.exit(0 if differing == 0 or "--write" in options else 1)


main(*sys.argv[1:])
