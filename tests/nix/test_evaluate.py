# ruff: noqa: ASYNC240  a look at a small file blocks nobody in a test
from pathlib import Path

import pytest

from nixeryd.images.errors import ErrorCode
from nixeryd.nix.evaluate import EvaluationFailed, PackagesNotFound, evaluate
from nixeryd.nix.packageset import PackageSet


async def one(nix, sets, system, name):
    return (await evaluate(nix, sets, [name], system)).packages[0]


@pytest.mark.parametrize(
    ("name", "derivation"),
    [
        ("simple", "simple-1.0"),
        ("uppercase", "upper-1.0"),
        ("exactly", "exact-1.0"),
        ("7zip", "7zip-1.0"),
        ("nestedset.inner.deeppackage", "deep-1.0"),
        ("nestedSet.Inner.deepPackage", "deep-1.0"),
        ("dotted.name", "dotted-1.0"),
        ("with-underscores", "underscores-1.0"),
        ("with_dashes", "dashes-1.0"),
        ("both-ways", "both-1.0"),
        ("both_ways", "both-2.0"),
        ("callable.inner", "simple-1.0"),
        ("several.1", "program-2.0"),
        ("several.2.deep", "user-1.0"),
    ],
)
async def test_a_name_means_a_package(nix, sets, system, name, derivation):
    package = await one(nix, sets, system, name)
    assert package.name == derivation
    assert package.attribute == name


async def test_the_derivation_is_written_to_the_store(nix, tmp_path, system, salted):
    package = await one(nix, salted('salted = make "salted" "";'), system, "salted")
    assert Path(package.drv_path).read_bytes().startswith(b"Derive(")
    assert not Path(package.outputs[0]).exists()


@pytest.mark.parametrize(
    ("name", "outputs"),
    [
        pytest.param("twooutputs", ("out",), id="the first"),
        pytest.param("installsman", ("out", "man"), id="meta.outputsToInstall"),
        pytest.param("twooutputs.dev", ("dev",), id="the one that is named"),
    ],
)
async def test_outputs_to_install(nix, sets, system, name, outputs):
    package = await one(nix, sets, system, name)
    assert package.output_names == outputs
    assert len(package.outputs) == len(outputs)
    assert package.installable == f"{package.drv_path}!{','.join(outputs)}"


async def test_the_main_program_is_told(nix, sets, system):
    assert (await one(nix, sets, system, "program")).main_program == "run-me"
    assert (await one(nix, sets, system, "simple")).main_program is None


async def test_packages_come_in_the_order_asked_for(nix, sets, system):
    evaluation = await evaluate(nix, sets, ["uppercase", "simple"], system)
    assert [package.attribute for package in evaluation.packages] == [
        "uppercase",
        "simple",
    ]


async def test_the_system_is_passed_on(nix, sets):
    here = await one(nix, sets, "x86_64-linux", "simple")
    there = await one(nix, sets, "aarch64-linux", "simple")
    assert here.drv_path != there.drv_path


@pytest.mark.parametrize(
    "name",
    [
        "missing",
        "simple.missing",
        "text.x",
        "nestedset.missing",
        '"; abort "x',
        "${x}",
    ],
)
async def test_a_name_that_means_nothing_is_not_found(nix, sets, system, name):
    with pytest.raises(PackagesNotFound) as caught:
        await one(nix, sets, system, name)
    assert caught.value.code is ErrorCode.MANIFEST_UNKNOWN
    assert f"there is no package {name}" in caught.value.message
    assert str(sets) in caught.value.message


async def test_a_mistyped_name_gets_a_hint(nix, sets, system):
    with pytest.raises(PackagesNotFound, match=r"simpel; did you mean simple\?"):
        await one(nix, sets, system, "simpel")
    with pytest.raises(PackagesNotFound, match=r"mean nestedset.inner.deeppackage\?"):
        await one(nix, sets, system, "nestedset.inner.depackage")


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("function", "a function"),
        ("lib", "a set of packages"),
        ("nestedset.inner", "a set of packages"),
        ("text", "a string"),
        ("number", "a number"),
        ("nothing", "null"),
    ],
)
async def test_what_is_no_derivation_is_not_found(nix, sets, system, name, what):
    with pytest.raises(PackagesNotFound, match=f"{name} is not a package but {what}"):
        await one(nix, sets, system, name)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("unfree", "has an unfree license ("),
        ("asserting", "1 == 2"),
        ("thrown", "this one is thrown"),
        ("mistyped", "cannot add"),
        ("aborted", "this one is aborted"),
        ("endless", "infinite recursion encountered"),
    ],
)
async def test_what_nix_says_of_a_bad_package_is_told(nix, sets, system, name, said):
    with pytest.raises(EvaluationFailed) as caught:
        await evaluate(nix, sets, ["simple", name], system)
    assert caught.value.code is ErrorCode.DENIED
    assert caught.value.names == (name,)
    assert said in caught.value.message
    assert "simple does not evaluate" not in caught.value.message
    assert "\x1b" not in caught.value.message


async def test_all_bad_packages_are_named_at_once(nix, sets, system):
    names = ["missing", "simple", "lib", "endless", "unfree"]
    with pytest.raises(PackagesNotFound) as caught:
        await evaluate(nix, sets, names, system)
    assert caught.value.names == ("missing", "lib", "endless", "unfree")
    for text in ("no package missing", "lib is no", "infinite recursion", "unfree li"):
        assert text in caught.value.message


async def test_a_source_that_is_not_there_is_named(nix, system, tmp_path):
    with pytest.raises(EvaluationFailed, match="gone does not exist"):
        await evaluate(nix, tmp_path / "gone", ["simple"], system)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{ }: throw ''the source is bad''", "the source is bad"),
        ("{ }: {", "syntax error"),
        ("3", "evaluates to a int"),
        ("{ required }: { }", "required"),
    ],
)
async def test_a_source_that_does_not_evaluate_is_to_blame(
    nix, system, tmp_path, text, said
):
    (tmp_path / "default.nix").write_text(text)
    with pytest.raises(EvaluationFailed) as caught:
        await evaluate(nix, tmp_path, ["a", "b"], system)
    assert said in caught.value.message
    assert "does not evaluate" in caught.value.message
    assert caught.value.names == ()


@pytest.mark.parametrize(
    "head",
    [
        pytest.param("", id="a set that is no function"),
        pytest.param("{ }:", id="a function of nothing"),
        pytest.param("{ system }: assert system == SYSTEM;", id="of the system"),
        pytest.param("{ system, ... }: assert system == SYSTEM;", id="and more"),
        pytest.param("{ ... }@all: assert all.system == SYSTEM;", id="of anything"),
        pytest.param("all: assert all.system == SYSTEM;", id="of one argument"),
        pytest.param(
            "{ config, overlays, x ? 1 }: assert config == { } && overlays == [ ];",
            id="with defaults",
        ),
    ],
)
async def test_a_source_gets_the_arguments_it_takes(nix, system, tmp_path, head):
    body = 'derivation { name = "x"; builder = "/bin/sh"; system = SYSTEM; }'
    text = f"{head} {{ x = {body}; }}".replace("SYSTEM", f'"{system}"')
    file = tmp_path / "a set.nix"
    file.write_text(text)
    assert (await one(nix, file, system, "x")).name == "x"


async def test_a_relative_source_is_found(nix, sets, system, monkeypatch):
    monkeypatch.chdir(sets.parent)
    assert (await one(nix, Path("sets"), system, "simple")).name == "simple-1.0"


@pytest.mark.parametrize(
    "name", ["several.3", "several.01", "several.x", "needy.inner"]
)
async def test_no_package_is_made_up_of_lists_and_functions(nix, sets, system, name):
    with pytest.raises(PackagesNotFound, match=f"there is no package {name}"):
        await one(nix, sets, system, name)


@pytest.mark.parametrize(
    ("source", "name"),
    [
        pytest.param("[ (import SETS {}).simple ]", "simple", id="a list"),
        pytest.param("(import SETS {}).simple", "simple", id="one package by its name"),
        pytest.param("(import SETS {}).simple", "default", id="one package"),
        pytest.param("{ system }: [ (import SETS {}).simple ]", "simple", id="a call"),
    ],
)
async def test_a_source_may_be_packages_without_names(  # noqa: PLR0917
    nix, sets, system, tmp_path, source, name
):
    file = tmp_path / "default.nix"
    given = f'({sets}) {{ system = "{system}"; config = {{}}; overlays = []; }}'
    file.write_text(source.replace("SETS {}", given))
    assert (await one(nix, file, system, name)).name == "simple-1.0"


async def test_an_optional_package_is_left_out_where_the_set_has_none(
    nix, sets, system
):
    evaluation = await evaluate(
        nix, sets, ["cacert", "simple"], system, optional=["cacert", "iana-etc"]
    )
    assert [package.attribute for package in evaluation.packages] == ["simple"]


async def test_a_package_of_a_nested_set_is_suggested(nix, sets, system):
    with pytest.raises(
        PackagesNotFound, match=r"did you mean python3packages\.requests"
    ):
        await one(nix, sets, system, "requests")


async def test_a_missing_package_comes_with_the_sets_advice(nix, sets, system):
    demo = PackageSet(sets, label="the demo set", advice="Take another.")
    with pytest.raises(PackagesNotFound) as caught:
        await evaluate(nix, demo, ["zzz"], system)
    assert caught.value.message.startswith("the demo set: there is no package zzz")
    assert caught.value.message.endswith("\nTake another.")
