"""Policy files: what is in them, and one clear error for every mistake."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from inspector import InspectorError, Severity
from inspector.policy.load import MAX_BYTES, builtins, load_policies, load_policy

FINDING = '[[finding]]\nrule = "a/b"\nreason = "So."\n'
RULE = '[[rule]]\nid = "a"\nmetric = "sparsity.dead"\n'


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "mine.toml"


def test_a_policy_is_what_its_file_says(file: Path) -> None:
    file.write_text('about = "For us."\n' + RULE + 'layers = ["conv*"]\nmax = 3\nmin = 1.5\nseverity = "warning"\n')
    policy = load_policy(file)
    assert (policy.name, policy.about) == ("mine", "For us.")
    assert policy.sha256 == hashlib.sha256(file.read_bytes()).hexdigest()
    (rule,) = policy.rules
    assert (rule.id, rule.kind, rule.analysis, rule.layers) == ("a", "metric", "sparsity", ("conv*",))
    assert (rule.limit, rule.severity, rule.missing) == ("at least 1.5 and at most 3", Severity.WARNING, "fail")


def test_both_limits_may_be_one_number(file: Path) -> None:
    file.write_text(RULE + "max = 3\nmin = 3\n")
    assert load_policy(file).rules[0].limit == "at least 3 and at most 3"


def test_a_byte_order_mark_is_no_part_of_a_policy(file: Path) -> None:
    file.write_bytes(b"\xef\xbb\xbf" + RULE.encode() + b"max = 3\n")
    assert load_policy(file).rules[0].max == 3
    assert load_policy(file).sha256 == hashlib.sha256(file.read_bytes()).hexdigest()


@pytest.mark.parametrize(
    ("text", "where"),
    [
        (RULE + 'max = 1\nmessage = "a\\u001b[2Jb"', "message in rule 'a'"),
        (RULE + 'max = 1\nremedy = "a\\u009bb"', "remedy in rule 'a'"),
        ('[[rule]]\nid = "a"\nreport = "device"\none_of = ["\\u0007"]', "one_of in rule 'a'"),
        (FINDING.replace("So.", "So\\u0008.") + 'severity = "info"', "reason in finding 1"),
        ('about = "\\r"\n' + RULE + "max = 1", "about of policy"),
    ],
)
def test_control_characters_in_a_policy_are_refused(file: Path, text: str, where: str) -> None:
    file.write_text(text)
    with pytest.raises(InspectorError, match="control character") as caught:
        load_policy(file)
    assert where in str(caught.value)
    assert str(caught.value).isprintable()


def test_a_message_may_have_several_lines(file: Path) -> None:
    file.write_text(RULE + 'max = 1\nmessage = "one\\n\\ttwo \u2013 \u00e9"')
    assert load_policy(file).rules[0].message == "one\n\ttwo \u2013 \u00e9"


def test_a_policy_may_say_what_findings_count_as_and_nothing_else(file: Path) -> None:
    file.write_text(FINDING + 'severity = "ignore"\nlayers = ["stem*"]\n' + FINDING + 'severity = "error"\n')
    policy = load_policy(file)
    assert policy.rules == policy.analyses == ()
    first, second = policy.overrides
    assert (first.rule, first.analysis, first.severity, first.reason) == ("a/b", "a", "ignore", "So.")
    assert (first.layers, second.layers, second.severity) == (("stem*",), ("*",), Severity.ERROR)


def test_a_finding_is_forbidden_unless_the_rule_allows_some(file: Path) -> None:
    file.write_text('[[rule]]\nid = "a"\nfinding = "*/not-finite"\n[[rule]]\nid = "b"\nfinding = "x/y"\nmax = 2\n')
    first, second = load_policy(file).rules
    assert (first.max, first.analysis, second.max, second.analysis) == (0, "", 2, "x")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "it has no rules"),
        ("rule = 3", "it has no rules"),
        ("finding = 3", "it has no rules"),
        (FINDING, "severity in finding 1"),
        (FINDING + 'severity = "fatal"', "severity in finding 1"),
        (FINDING + 'severity = "info"\nlayer = "x"', "Did you mean 'layers'"),
        (FINDING + 'severity = "info"\nlayers = []', "layers in finding 1"),
        ('[[finding]]\nrule = "a/b"\nseverity = "info"', "reason in finding 1"),
        ('[[finding]]\nrule = "a/b"\nseverity = "info"\nreason = ""', "reason in finding 1"),
        (FINDING * 1001, "too many rules"),
        ("rule = [3]", "it has no rules"),
        ("[[rule]", "it cannot be read"),
        ("x = " + "[" * 100_000, "it cannot be read"),
        (RULE + "max = 3\n__pydantic_config__ = 1", "there is none of that name"),
        ("abuot = 3", "Did you mean 'about'"),
        (RULE + "maximum = 3", "Did you mean 'max'"),
        (RULE, "it has no limit"),
        (RULE + "max = nan", "max in rule 'a'"),
        (RULE + 'max = "3"', "max in rule 'a'"),
        (RULE + "max = true", "max in rule 'a'"),
        (RULE + "min = 3\nmax = 2", "no number keeps both limits"),
        (RULE + 'max = 3\nseverity = "bad"', "severity in rule 'a'"),
        (RULE + "max = 3\nlayers = []", "layers in rule 'a'"),
        (RULE + "max = 3\nequals = 2", "`equals` says it all"),
        (RULE + "min = 3\nequals = 3", "`equals` says it all"),
        ('[[rule]]\nid = "a"\nreport = "device"\nequals = "cpu"\none_of = ["cpu"]', "`equals` says it all"),
        ('[[rule]]\nid = "a"\nreport = "preprocess"\nequals = ""', "nothing to judge"),
        ('[[rule]]\nid = "a"\nreport = "preprocess"\none_of = ["unit", ""]', "nothing to judge"),
        ('[[rule]]\nid = "a"\nfinding = "policy/*"', "rule 'a' of policy 'mine': what rules say is not judged"),
        ('[[rule]]\nid = "a"\nmetric = "policy.broken"\nmax = 0', "what rules say is not judged"),
        (FINDING.replace("a/b", "policy/b") + 'severity = "ignore"', "finding 1 of policy 'mine': what rules say"),
        (RULE + 'one_of = ["a"]', "wrong kind"),
        (RULE + 'max = 3\nreport = "inputs"', "about one thing"),
        ('[[rule]]\nid = "a"\nmax = 3', "about one thing"),
        ('[[rule]]\nid = "A b"\nreport = "inputs"\nmin = 3', "id in rule"),
        ('[[rule]]\nid = "a"\nreport = "imputs"\nmin = 3', "Did you mean 'inputs'"),
        ('[[rule]]\nid = "a"\nreport = "fidelity"\nmin = 3', "wrong kind"),
        ('[[rule]]\nid = "a"\nreport = "inputs"\nmin = 3\nlayers = ["x"]', "no layers"),
        (RULE + "max = 3\n" + RULE + "max = 4", "two rules have this id"),
        ("".join(f'[[rule]]\nid = "r{n}"\nreport = "inputs"\nmin = 1\n' for n in range(1001)), "too many rules"),
        ("#" * (MAX_BYTES + 1), "too large"),
    ],
)
def test_a_mistake_is_named(text: str, says: str, file: Path) -> None:
    file.write_text(text)
    with pytest.raises(InspectorError, match=says):
        load_policy(file)


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InspectorError, match=r"no such file.*builtin:release"):
        load_policy(tmp_path / "none.toml")
    with pytest.raises(InspectorError, match="Did you mean 'release'"):
        load_policy("builtin:relase")


def test_every_built_in_policy_says_what_it_is_for_and_what_to_do() -> None:
    assert builtins() == ("dormant", "release", "sparsity", "unchanged", "weights")
    for name in builtins():
        policy = load_policy(f"builtin:{name}")
        assert policy.about.endswith(".")
        assert all(rule.message for rule in policy.rules)


def test_files_of_one_name_are_called_by_what_tells_them_apart(tmp_path: Path) -> None:
    places = ("a/ours.toml", "b/ours.toml", "c/b/ours.toml", "other.toml")
    for n, place in enumerate(places):
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / place).write_text(RULE.replace('"a"', f'"a{n}"') + "max = 3\n")
    policies = load_policies([*(tmp_path / place for place in places), "builtin:release"])
    assert [p.name for p in policies] == ["a/ours", f"{tmp_path.name}/b/ours", "c/b/ours", "other", "builtin:release"]
    assert [p.name for p in load_policies([tmp_path / "a/ours.toml"])] == ["ours"]
    twice = load_policies([tmp_path / "a/ours.toml", policies[0], str(tmp_path / "a/ours.toml")])
    assert [p.name for p in twice] == ["ours", "a/ours", "ours"]  # one file is one policy
