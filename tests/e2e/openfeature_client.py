"""Evaluates flags with PyPI's OFREP provider: URL, token, context as JSON. Prints what it got."""

import json
import sys

from openfeature import api
from openfeature.contrib.provider.ofrep import OFREPProvider
from openfeature.evaluation_context import EvaluationContext

url, token, context = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
api.set_provider(OFREPProvider(url, headers_factory=lambda: {"Authorization": f"Bearer {token}"}))
client = api.get_client()
unit = EvaluationContext(targeting_key=context.pop("targetingKey"), attributes=context)


def three(details):
    return [details.value, str(getattr(details.reason, "value", details.reason)), details.variant]


def error(details):
    return [details.value, details.error_code.value]


print(
    json.dumps(
        {
            "yes": three(client.get_boolean_details("yes", False, unit)),
            "text": three(client.get_string_details("text", "", unit)),
            "whole": three(client.get_integer_details("whole", -1, unit)),
            "real": three(client.get_float_details("real", -1.0, unit)),
            "thing": three(client.get_object_details("thing", {}, unit)),
            "dark": three(client.get_boolean_details("dark", True, unit)),
            "premium": three(client.get_string_details("premium", "", unit)),
            "no-such-flag": error(client.get_boolean_details("no-such-flag", True, unit)),
            "split": error(client.get_boolean_details("split", True, EvaluationContext())),
        }
    )
)
