import functools
import tomllib
from pathlib import Path

import pytest

from fieldgrad.engine import recipe
from fieldgrad.engine.errors import DataError, FileError, MissingExtra, RecipeError
from fieldgrad.engine.field import Field, find_field, find_fields, import_object
from fieldgrad.engine.testing import check_field

HEADER = 'field = "astro"\ntask = "train"\n'
MODEL = '[model]\nname = "net"\ndepth = 3\n'


def load(text, *overrides):
    Path("mine.toml").write_text(text)
    return recipe.load("mine.toml", overrides)


def check(text, *overrides):
    return recipe.check(load(text, *overrides))


# ---- loading: plain tables


def test_recipe_is_found_by_name(astro):
    loaded = recipe.load("astro/spiral")
    assert loaded.settings == {"model": {"name": "net", "depth": 3}}
    assert (loaded.task, loaded.summary) == ("train", "A spiral.")


def test_unknown_recipe_suggests_the_nearest(astro):
    with pytest.raises(RecipeError, match="did you mean 'astro/spiral'"):
        recipe.load("astro/spirals")
    with pytest.raises(RecipeError, match="did you mean 'astro/spiral'"):
        recipe.load("spiral")


@pytest.mark.parametrize(
    ("text", "message"), [("a = = 1", "not TOML"), ("task = 'x'", "its field")]
)
def test_broken_file_is_named(astro, text, message):
    with pytest.raises(RecipeError, match=rf"mine\.toml.*{message}"):
        load(text)


def test_missing_file_and_field_are_named(astro):
    with pytest.raises(RecipeError, match=r"none\.toml does not exist"):
        recipe.load("none.toml")
    with pytest.raises(RecipeError, match="no field 'astor'; did you mean 'astro'"):
        load(HEADER.replace("astro", "astor"))


def test_extending_merges_tables_key_by_key(astro):
    text = 'extends = "astro/spiral"\nseed = 2\n[model]\nrate = 0.5\n'
    assert load(text).settings == {"seed": 2, "model": {"name": "net", "depth": 3, "rate": 0.5}}


def test_extending_replaces_a_table_of_another_name(astro):
    text = 'extends = "astro/spiral"\n[model]\nname = "noise"\n'
    assert load(text).settings["model"] == {"name": "noise"}


def test_extending_finds_files_beside_the_recipe(astro):
    Path("base.toml").write_text(HEADER + MODEL)
    assert load('extends = "base.toml"').settings["model"]["depth"] == 3


def test_extending_in_a_circle_is_refused(astro):
    with pytest.raises(RecipeError, match="extends itself"):
        load('extends = "mine.toml"')


@pytest.mark.parametrize(
    ("override", "value"),
    [
        ("note=5", 5),
        ("note=2.5", 2.5),
        ("note=true", True),
        ("note=[1, 2]", [1, 2]),
        ('note="quoted"', "quoted"),
        ("note=10min", "10min"),
        ("note=a b=c", "a b=c"),
        ("note=1\nseed=3", "1\nseed=3"),
    ],
)
def test_override_values_are_toml_or_bare_words(astro, override, value):
    assert load(HEADER, override).settings == {"note": value}


def test_overrides_reach_into_tables_in_any_order(astro):
    for overrides in (["model.name=noise", "model.size=2"], ["model.size=2", "model.name=noise"]):
        assert load(HEADER + MODEL, *overrides).settings["model"] == {"name": "noise", "size": 2}


@pytest.mark.parametrize("override", ["depth", "=5", "model..depth=5", "note=[1, 2", 'note="a'])
def test_malformed_override_is_refused(astro, override):
    with pytest.raises(RecipeError, match="--set"):
        load(HEADER, override)


# ---- checking: signatures and annotations


def test_defaults_are_filled_in(astro):
    call = check(HEADER + MODEL)
    assert call.arguments["seed"] == 0
    assert call.arguments["model"].arguments == {"depth": 3, "rate": 0.1, "kind": "flat"}


def test_unknown_key_suggests_the_nearest_and_lists_all(astro):
    message = r"\[model\] net has no setting 'dpeth'; did you mean 'depth'\? Settings: depth, rate"
    with pytest.raises(RecipeError, match=message):
        check(HEADER + MODEL, "model.dpeth=3")


def test_unknown_name_suggests_the_nearest(astro):
    with pytest.raises(RecipeError, match="'nett' is not a name of the field astro; did you"):
        check(HEADER + MODEL, "model.name=nett")


def test_missing_setting_is_named(astro):
    with pytest.raises(RecipeError, match=r"\[model\] net needs depth"):
        check(HEADER + '[model]\nname = "net"')


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("seed=1.5", "seed = 1.5; expected a whole number"),
        ("seed=true", "seed = true; expected a whole number"),
        ("model.rate=fast", 'model.rate = "fast"; expected a number'),
        ("note=5", "note = 5; expected text. Put it in quotes"),
        ("model.kind=dep", "model.kind = \"dep\"; did you mean 'deep'"),
        ("shape=[1, 2, 3]", "shape has 3 entries; expected 2"),
        ("shape=[1, 2.5]", r"shape\[1\] = 2.5; expected a whole number"),
        ("shape=3", "shape = 3; expected a list"),
        ("labels={csf = 1.5}", "labels.csf = 1.5; expected a whole number"),
        ("colors={first = 'red'}", "key is 'first'; expected a whole number"),
        ("model=5", "model = 5; expected a table with `name`"),
        ("model={name = 'noise'}", r"\[model\] noise is no Model"),
        ("noises=[{size = 1}]", r"\[noises\[0\]\] has no `name`"),
        ("optimizer=descend", "optimizer = .*; expected a table with `name`"),
        ("optimizer={name = 'descend', rat = 1}", "did you mean 'rate'"),
        ("run_dir=here", "the command line supplies"),
        ("model.name=5", "expected a name as text"),
    ],
)
def test_wrong_value_says_what_was_expected(astro, override, message):
    with pytest.raises(RecipeError, match=message):
        check(HEADER + MODEL, override)


def test_task_without_run_dir_is_refused(astro):
    with pytest.raises(RecipeError, match="takes no run_dir"):
        check('field = "astro"\ntask = "draw"\n')


def test_import_path_needs_no_registration(astro):
    call = check(HEADER + '[model]\nname = "astro:Net"\ndepth = 1\n')
    assert call.arguments["model"].name == "astro:Net"


def test_missing_library_names_the_install_command():
    with pytest.raises(RecipeError, match="no module 'nowhere'"):
        import_object("nowhere:x")


def test_library_missing_inside_a_module_names_the_extra(astro):
    (astro / "needy.py").write_text("import nowhere_to_be_found")
    with pytest.raises(MissingExtra, match=r'nowhere_to_be_found.*pip install "fieldgrad-astro"'):
        import_object("needy:x", extra="fieldgrad-astro")


# ---- building


def test_values_arrive_as_annotated(astro):
    overrides = ["model.rate=1", "shape=[4, 5]", "folder=data", "labels={csf = 1}"]
    overrides += ["colors={1 = 'red'}"]
    overrides += ["noises=[{name = 'noise', size = 2}, {name = 'noise'}]"]
    arguments = check(HEADER + MODEL, *overrides).arguments
    assert arguments["model"].arguments["rate"] == 1.0
    assert isinstance(arguments["model"].arguments["rate"], float)
    assert arguments["shape"] == (4, 5)
    assert arguments["folder"] == Path("data")
    assert arguments["labels"] == {"csf": 1}
    assert arguments["colors"] == {1: "red"}
    assert [noise.build().size for noise in arguments["noises"]] == [2.0, 1.0]


def test_parameter_annotated_as_callable_receives_it_with_settings_bound(astro):
    text = HEADER + MODEL + '[optimizer]\nname = "descend"\nrate = 0.25\n'
    optimizer = check(text).arguments["optimizer"].build()
    assert isinstance(optimizer, functools.partial)
    assert optimizer([1]) == ([1], 0.25)


def test_resolved_recipe_gives_the_same_calls(astro):
    overrides = ["noises=[{name = 'noise', size = 2}]", "folder=data", "labels={csf = 1}"]
    overrides += ["optimizer={name = 'descend'}", "seed=4", "colors={1 = 'red'}"]
    loaded = load(HEADER + MODEL, *overrides)
    call = recipe.check(loaded)
    text = recipe.resolved_text(loaded, call)
    again = load(text)
    assert recipe.check(again) == call
    assert recipe.resolved_text(again, recipe.check(again)) == text
    assert tomllib.loads(text)["versions"].keys() == {"python", "fieldgrad", "numpy", "scipy"}


# ---- running


def test_run_writes_the_resolved_recipe_first(astro, tmp_path):
    result = recipe.run(load(HEADER + MODEL), tmp_path / "out")
    assert result == "depth 3 seed 0 resume False"
    assert recipe.load(tmp_path / "out" / "recipe.toml").settings["model"]["rate"] == 0.1


def test_run_never_overwrites_a_run(astro, tmp_path):
    loaded = load(HEADER + MODEL)
    recipe.run(loaded, tmp_path / "out")
    with pytest.raises(RecipeError, match=r"already holds a run.*--resume"):
        recipe.run(loaded, tmp_path / "out")


def test_run_that_failed_at_once_may_be_started_again(astro, tmp_path):
    loaded = load(HEADER + MODEL, "note=defect")
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            recipe.run(loaded, tmp_path / "out")


def test_run_that_is_refused_at_once_leaves_no_folder(astro, tmp_path):
    with pytest.raises(DataError, match="Copy it again"):
        recipe.run(load(HEADER + MODEL, "note=bad"), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_folder_with_other_files_is_refused(astro, tmp_path):
    for resume in (False, True):
        with pytest.raises(RecipeError, match="other files and no run"):
            recipe.run(load(HEADER + MODEL), tmp_path, resume=resume)


def test_resume_continues_with_the_same_settings_only(astro, tmp_path):
    loaded = load(HEADER + MODEL)
    assert recipe.run(loaded, tmp_path / "out", resume=True).endswith("resume False")
    assert recipe.run(loaded, tmp_path / "out", resume=True).endswith("resume True")
    with pytest.raises(RecipeError, match=r"other settings.*seed"):
        recipe.run(load(HEADER + MODEL, "seed=9"), tmp_path / "out", resume=True)


def test_nothing_is_written_when_the_check_fails(astro, tmp_path):
    with pytest.raises(RecipeError):
        recipe.run(load(HEADER + MODEL, "sead=9"), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_folder_that_cannot_be_made_is_named(astro, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(FileError, match="file/out"):
        recipe.run(load(HEADER + MODEL), tmp_path / "file" / "out")


# ---- fields


def test_field_of_another_distribution_is_found_and_sound(astro):
    check_field(find_field("astro"))


@pytest.mark.parametrize("name", ["neuro", "physics", "chem"])
def test_own_field_is_sound(name):
    check_field(find_field(name))


def test_broken_field_leaves_the_others_usable(astro):
    (astro / "astro.py").write_text("import nowhere_to_be_found")
    fields = find_fields()
    assert "nowhere_to_be_found" in fields["astro"].problem
    assert not fields["physics"].problem
    with pytest.raises(MissingExtra, match="fieldgrad-astro"):
        find_field("astro")


def test_check_field_lists_every_breach(tmp_path):
    (tmp_path / "a.toml").write_text('field = "physics"\ntask = "nothing"')
    field = Field("Astro", "No full stop", {"x": "math:nothing"}, tmp_path, "math:pi")
    with pytest.raises(RecipeError) as caught:
        check_field(field)
    for breach in ("'Astro'", "full stop", "name x", "recipe Astro/a", "no typer.Typer"):
        assert breach in str(caught.value)
