"""What a record of TensorRT's bindings has, as Python classes: names and arguments, no more."""

# What stands for a module in C++ is made at run time and has no types to check; it runs on Python
# 3.8, and the names of its arguments are TensorRT's.
# mypy: ignore-errors
# ruff: noqa: ARG005, B905, PTH123, UP031

import enum
import json
import os
import re
import types

with open(os.environ["ROOST_TENSORRT_RECORD"]) as file:
    RECORD = json.load(file)

KINDS = {
    "int": int,
    "typing.SupportsInt": int,
    "str": str,
    "bool": bool,
    "tuple": tuple,
    "list": list,
    "Dims": (tuple, list),
}


def parameters(signature):
    """[(name, type, has a default)] without self."""
    inside = signature[signature.index("(") + 1 : signature.rindex(") ->")]
    found, depth, start = [], 0, 0
    for place, letter in enumerate(inside + ","):
        depth += letter in "[(<"
        depth -= letter in "])>"
        if letter == "," and not depth:
            found.append(inside[start:place].strip())
            start = place + 1
    split = [re.match(r"([^:]+): ([^=]+)(=.*)?$", each) for each in found if each]
    named = [(m[1].strip(), m[2].strip(), m[3] is not None) for m in split if m]
    return [each for each in named if each[0] != "self"]


def fits(signature, arguments, named):
    wanted = parameters(signature)
    if len(arguments) > len(wanted):
        return False
    given = dict(zip([name for name, _, _ in wanted], arguments))
    if set(given) & set(named) or set(named) - {name for name, _, _ in wanted}:
        return False
    given.update(named)
    for name, kind, optional in wanted:
        if name not in given:
            if not optional:
                return False
        elif kind in KINDS and not isinstance(given[name], KINDS[kind]):
            return False
    return True


def checked(kind, name, signatures, does):
    def call(self, *arguments, **named):
        if not any(fits(each, arguments, named) for each in signatures):
            raise TypeError(
                "%s.%s: %r %r fit none of %s" % (kind, name, arguments, named, signatures)
            )
        if does is None:
            raise NotImplementedError("%s.%s is recorded, and the toy cannot do it" % (kind, name))
        return does(self, *arguments, **named)

    return call


class Recorded:
    """Attributes are those of the record; what the toy keeps begins with `_`."""

    def __setattr__(self, name, value):
        if not name.startswith("_") and not hasattr(type(self), name):
            raise AttributeError("%s has no %s" % (type(self).__name__, name))
        object.__setattr__(self, name, value)


def kind_of(name, toy):
    has = RECORD["classes"].get(name)
    if has is None:
        return None
    made = {"__init__": toy.get("__init__", lambda self, *arguments: None)}
    for method, signatures in has["methods"].items():
        if method != "__init__":
            made[method] = checked(name, method, signatures, toy.get(method))
        elif signatures:
            made[method] = checked(name, method, signatures, made["__init__"])
    for each in has["properties"]:
        made[each] = toy.get(each)
    made.update(
        (each, does) for each, does in toy.items() if each.startswith("_") and each != "__init__"
    )
    return type(name, (Recorded,), made)


class Member(enum.IntEnum):
    """As pybind11 writes them, whichever Python it is."""

    def __str__(self):
        return "%s.%s" % (type(self).__name__, self.name)


ENUMS = types.SimpleNamespace()
for _name, _members in RECORD["enums"].items():
    _kind = Member(_name.split(".")[-1], _members)
    setattr(ENUMS, _kind.__name__, _kind)
