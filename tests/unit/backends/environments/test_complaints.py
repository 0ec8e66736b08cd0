import pytest

from perijove.backends.environments.complaints import (
    Words,
    failure,
    meant,
    pip_failure,
    post_build_failure,
    without_wheels,
)
from perijove.domain import failures
from perijove.domain.egress_failures import BUILD_CONNECTIONS, HOST_FORBIDDEN, HOST_SILENT, PROXY_REFUSES
from perijove.domain.failures import Kind
from perijove.domain.ran import Unreached, Withheld

UNSOLVED = "error: No solution found when resolving dependencies"
END = "we can conclude that your requirements are unsatisfiable."


@pytest.mark.parametrize(
    ("words", "kind", "says"),
    [
        pytest.param(
            [
                UNSOLVED,
                f"  cause: Because nosuch-qzx was not found in the package registry and you require nosuch-qzx, {END}",
            ],
            failures.NO_SUCH_PACKAGE,
            "nosuch-qzx was not found in the package registry",
            id="no such name",
        ),
        pytest.param(
            [UNSOLVED, f"  cause: Because there is no version of numpy==99.1 and you require numpy==99.1, {END}"],
            failures.NO_SUCH_PACKAGE,
            "there is no version of numpy==99.1",
            id="no such version",
        ),
        pytest.param(
            [UNSOLVED, f"  cause: Because only dash[extra]<3 is available and you require dash[extra]>=3, {END}"],
            failures.NO_SUCH_PACKAGE,
            "only dash[extra]<3 is available",
            id="no version so new",
        ),
        pytest.param(
            [
                UNSOLVED,
                "  cause: Because tensorflow==1.15.0 has no wheels with a matching Python ABI tag (e.g., `cp312`) and"
                f" you require tensorflow==1.15, {END}",
            ],
            failures.NO_SUCH_PACKAGE,
            "no wheels with a matching Python ABI tag",
            id="neither a wheel nor sources",
        ),
        pytest.param(
            [UNSOLVED, f"  cause: Because you require six==1.16 and six==1.15, {END}"],
            failures.CONFLICT,
            "you require six==1.16 and six==1.15",
            id="two versions of one",
        ),
        pytest.param(
            [
                "  × No solution found when resolving dependencies:",
                "  ╰─▶ Because only pandas<=3 is available and foo depends on pandas>3, we can conclude that foo",
                f"      cannot be used. And because you require foo, {END}",
            ],
            failures.CONFLICT,
            "only pandas<=3 is available and foo depends on pandas>3",
            id="a dependency nobody can meet",
        ),
        pytest.param(
            [
                "error: Request failed after 3 retries in 9.2s",
                "  cause: Failed to fetch: http://127.0.0.1:9/simple/attrs/",
                "  cause: Connection refused (os error 111)",
            ],
            failures.INDEX_UNREACHABLE,
            "could not reach",
            id="index refuses",
        ),
        *(
            pytest.param(
                ["error: Failed to fetch: https://h/simple/a/", f"  cause: {said}"],
                PROXY_REFUSES,
                "get through",
                id=said,
            )
            for said in (
                "tunnel error: unsuccessful",
                "tunnel error: proxy authorization required",
                "tunnel error: failed to create underlying connection",
                "error connecting to socks proxy",
                "HTTP status client error (407 Proxy Authentication Required) for url (http://h/simple/a/)",
            )
        ),
        pytest.param(
            [
                "error: Failed to fetch: https://h/simple/async-lru/",
                "  cause: error sending request for url (https://h/simple/async-lru/)",
                "  cause: client error (Connect)",
                "  cause: invalid peer certificate: UnknownIssuer",
                "  hint: Consider enabling use of system TLS certificates with the `--system-certs` command-line flag",
            ],
            failures.INDEX_UNTRUSTED,
            "who signed its certificate",
            id="index of an authority of its own",
        ),
        pytest.param(
            ["error: Failed to fetch: `http://h/simple/a/`", "  cause: HTTP status server error (503 Unavailable)"],
            failures.INDEX_UNREACHABLE,
            "could not reach",
            id="index is ill",
        ),
        pytest.param(
            [
                "error: Failed to download `tornado==6.6.1`",
                "  cause: I/O operation failed during extraction",
                "  cause: Failed to download distribution due to network timeout. Try increasing UV_HTTP_TIMEOUT",
            ],
            failures.INDEX_UNREACHABLE,
            "could not reach",
            id="index is slow",
        ),
        pytest.param(
            ["error: failed to write `x`", "  cause: No space left on device (os error 28)"],
            failures.BUILD_DISK,
            "no space",
            id="disk full",
        ),
        pytest.param(
            ["error: Couldn't parse requirement in `r.txt` at position 0", "numpy 1.2"],
            failures.BAD_FILE,
            "cannot read",
            id="unreadable",
        ),
        pytest.param(
            [
                UNSOLVED,
                f"  cause: Because pandas==0.24.2 has invalid metadata and you require pandas==0.24.2, {END}",
                "hint: Metadata for `pandas` (v0.24.2) could not be parsed:",
                "  after parsing `2011`, found `k`, which is not part of a valid version",
                "  pytz (>=2011k)",
                "        ^^^^^^^",
            ],
            failures.INSTALL_FAILED,
            "pandas 0.24.2 says what it needs in words that only pips of its time read: pytz (>=2011k)",
            id="metadata of another time",
        ),
        pytest.param(["error: something new"], failures.INSTALL_FAILED, "could not install", id="anything else"),
        pytest.param([], failures.INSTALL_FAILED, "could not install", id="nothing said"),
        pytest.param(
            [
                "warning: `moon-1.0-py3-none-any.whl` is missing an upload date, but user provided: 2024-01-01",
                UNSOLVED,
                f"  cause: Because there are no versions of moon and you require moon, {END}",
                "hint: `moon` was filtered by `exclude-newer` to only include packages uploaded before"
                " 2024-01-01T00:00:00Z. The latest version satisfying the requirement is v1.0.",
            ],
            failures.INDEX_UNDATED,
            "it does not for moon-1.0-py3-none-any.whl",
            id="an index without upload times",
        ),
    ],
)
def test_what_uv_says_is_told_as_its_kind(words: list[str], kind: Kind, says: str) -> None:
    found = failure(words)
    assert found.kind is kind
    assert says in found.cause
    assert found.evidence[0].saw == "\n".join(words)


@pytest.mark.parametrize(
    ("words", "names"),
    [
        pytest.param(
            [UNSOLVED, f"  cause: Because all versions of docopt have no usable wheels and you require docopt, {END}"],
            {"docopt"},
            id="no version has one",
        ),
        pytest.param(
            [
                UNSOLVED,
                f"  cause: Because wget>=1.0 has no usable wheels and you require wget>=1, {END}",
                "hint: Wheels are required for `wget` because building from source is disabled for all packages",
            ],
            {"wget"},
            id="and a hint",
        ),
        pytest.param([UNSOLVED, f"  cause: Because you require six==1 and six==2, {END}"], set(), id="another trouble"),
    ],
)
def test_packages_without_a_wheel_are_named(words: list[str], names: set[str]) -> None:
    assert without_wheels(words) == names


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        pytest.param(["ERROR: No matching distribution found for nosuch"], failures.NO_SUCH_PACKAGE, id="no such name"),
        pytest.param(["ERROR: ResolutionImpossible: for help visit"], failures.CONFLICT, id="conflict"),
        pytest.param(["NewConnectionError: Failed to establish"], failures.INDEX_UNREACHABLE, id="no network"),
        pytest.param(
            [
                "WARNING: Retrying after connection broken by 'SSLError(SSLCertVerificationError(1, '[SSL:",
                " CERTIFICATE_VERIFY_FAILED] certificate verify failed: unable to get local issuer certificate'))'",
            ],
            failures.INDEX_UNTRUSTED,
            id="an authority of its own",
        ),
        pytest.param(["OSError: [Errno 28] No space left on device"], failures.BUILD_TOO_LARGE, id="disk full"),
        pytest.param(
            ["ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE. If you"],
            failures.INSTALL_FAILED,
            id="another file",
        ),
        pytest.param(
            ["ERROR: Index http://127.0.0.1/simple/moon/ does not provide upload-time metadata."],
            failures.INDEX_UNDATED,
            id="an index without upload times",
        ),
        pytest.param(["error: command 'gcc' failed"], failures.BUILD_BROKE, id="the build itself"),
    ],
)
def test_what_pip_says_is_told_as_its_kind(words: list[str], kind: Kind) -> None:
    assert pip_failure(1, tuple(words)).kind is kind


@pytest.mark.parametrize(
    ("cause", "unfit"),
    [
        pytest.param("numpy==1.19.5 has no usable wheels and you", ("numpy==1.19.5",), id="sources alone"),
        pytest.param("a[b]==1.0 has no wheels with a matching Python ABI tag", ("a[b]==1.0",), id="other Pythons"),
        pytest.param(
            "the current Python version (3.12.1) does not satisfy Python>=3.7,<3.11 and scipy==1.7.3 depends on"
            " Python>=3.7,<3.11, we can conclude",
            ("scipy==1.7.3",),
            id="it says so itself",
        ),
        pytest.param(
            "you require a, we can conclude that your requirements are unsatisfiable. hint: Wheels are available for"
            " `a` (v3.1) on the following platforms: `win32`, `win_amd64`",
            ("a==3.1",),
            id="other systems",
        ),
        pytest.param("all versions of x have no usable wheels", (), id="none of any version"),
        pytest.param("you require six==1 and six==2", (), id="another trouble"),
    ],
)
def test_a_version_that_does_not_fit_this_python_is_named(cause: str, unfit: tuple[str, ...]) -> None:
    assert meant((UNSOLVED, f"  cause: Because {cause}")).unfit == unfit


SKLEARN = """
  error: subprocess-exited-with-error
  × Getting requirements to build wheel did not run successfully.
  │ exit code: 1
  ╰─> [15 lines of output]
      The 'sklearn' PyPI package is deprecated, use 'scikit-learn'
      rather than 'sklearn' for pip commands.

      Here is how to fix this error in the main use cases:
      [end of output]
  note: This error originates from a subprocess, and is likely not a problem with pip.
ERROR: Failed to build 'sklearn' when getting requirements to build wheel
"""
GCC = """
  ╰─> [9 lines of output]
      src/h.c:1:10: fatal error: hdf5.h: No such file or directory
      error: command 'gcc' failed with exit status 1
      [end of output]
  ERROR: Failed building wheel for tables
ERROR: Failed to build one or more wheels
"""
TRACEBACK = """
  ╰─> [9 lines of output]
      Traceback (most recent call last):
        File "setup.py", line 3, in <module>
      ModuleNotFoundError: No module named 'numpy'
      [end of output]
"""


@pytest.mark.parametrize(
    ("said", "cause"),
    [
        pytest.param(
            SKLEARN,
            "sklearn: The 'sklearn' PyPI package is deprecated, use 'scikit-learn' rather than 'sklearn' for pip"
            " commands.",
            id="the package's own words",
        ),
        pytest.param(GCC, "tables: src/h.c:1:10: fatal error: hdf5.h: No such file or directory", id="the compiler's"),
        pytest.param(TRACEBACK, "ModuleNotFoundError: No module named 'numpy'", id="Python's"),
        pytest.param("ERROR: Failed building wheel for x", "x could not be built", id="pip's alone"),
        pytest.param("killed", "pip ended with exit status 1", id="nobody's"),
    ],
)
def test_a_build_that_breaks_is_told_in_the_words_that_say_why(said: str, cause: str) -> None:
    found = pip_failure(1, tuple(said.strip("\n").splitlines()))
    assert found.kind is failures.BUILD_BROKE
    assert found.cause == cause


def test_why_a_build_breaks_is_kept_however_much_it_says_afterwards() -> None:
    heard = Words()
    first = ("  ╰─> [3001 lines of output]", "      fatal: gcc not found")
    last = ("      [end of output]", "ERROR: Failed to build 'file:///home/jovyan/pk' when getting requirements")
    for line in (*first, *(f"      compile object {n}" for n in range(3000)), *last):
        heard(line)
    assert len(heard.kept()) < 300
    assert pip_failure(1, heard.kept()).cause == "pk: fatal: gcc not found"


@pytest.mark.parametrize(
    ("words", "kind", "says"),
    [
        pytest.param(("boom", "postBuild ended with exit status 3"), failures.POST_BUILD_FAILED, "boom", id="fails"),
        pytest.param(
            ("postBuild ended with exit status 3",),
            failures.POST_BUILD_FAILED,
            "postBuild ended with exit status 3",
            id="in silence",
        ),
        pytest.param(("cp: No space left on device",), failures.BUILD_TOO_LARGE, "no space", id="disk"),
        pytest.param(
            ("Jupyter command `jupyter-serverextension` not found.",),
            failures.POST_BUILD_FAILED,
            "`jupyter serverextension`",
            id="serverextension",
        ),
        pytest.param(
            ("(Deprecated) Installing extensions with the jupyter labextension install command is now deprecated", "x"),
            failures.POST_BUILD_FAILED,
            "`jupyter labextension install`",
            id="labextension",
        ),
    ],
)
def test_why_a_post_build_failed(words: tuple[str, ...], kind: Kind, says: str) -> None:
    told = post_build_failure("binder/postBuild", words)
    assert told.kind is kind
    assert says in told.cause


INDEX = Unreached("pypi.org:443", Withheld.UNREACHABLE, "pypi.org cannot be resolved: no name server answers")
FILTERED = Unreached(
    "pypi.org:443", Withheld.UNREACHABLE, "pypi.org:443: this service's own proxy says: 403 Not On The List"
)
DATA = Unreached("data.example:443", Withheld.UNREACHABLE, "data.example:443 does not answer")
PRIVATE = Unreached("10.1.2.3:8080", Withheld.FORBIDDEN, "only the ports 80 and 443 may be reached, not 8080")
MANY = Unreached("", Withheld.LIMIT, "more than 256 connections at once")


BY_PIP = "ProxyError('Cannot connect to proxy.', OSError('Tunnel connection failed: 502 Bad Gateway'))"
TOLD = "Perijove's egress proxy: data.example:443 does not answer"


@pytest.mark.parametrize(
    ("unreached", "words", "kind", "says"),
    [
        pytest.param((INDEX,), BY_PIP, failures.INDEX_UNREACHABLE, "no name server answers", id="the index"),
        pytest.param((FILTERED,), BY_PIP, PROXY_REFUSES, "403 Not On The List", id="the operator's proxy"),
        pytest.param((DATA,), "curl: (56) CONNECT tunnel failed, response 504", HOST_SILENT, "not answer", id="curl"),
        pytest.param((DATA,), "data.example: exit status 4", HOST_SILENT, "does not answer", id="by its name alone"),
        pytest.param(
            (PRIVATE,), "HTTP Error 403: Forbidden", HOST_FORBIDDEN, "asked for 10.1.2.3:8080", id="forbidden"
        ),
        pytest.param((MANY,), "503 Too Many Connections", BUILD_CONNECTIONS, "more than 256", id="too many at once"),
        pytest.param((DATA, PRIVATE), "error: 10.1.2.3 refused", HOST_FORBIDDEN, "10.1.2.3", id="the one it names"),
        pytest.param((DATA, PRIVATE), "wget: unable to resolve", HOST_SILENT, "data.example", id="the first"),
        pytest.param((DATA,), "OSError: [Errno 28]", failures.BUILD_TOO_LARGE, "no space left", id="a full disk"),
    ],
)
def test_what_was_not_reached_is_the_proxys_to_say(
    unreached: tuple[Unreached, ...], words: str, kind: Kind, says: str
) -> None:
    of_pip = pip_failure(1, (words,), unreached, "pypi.org")
    assert of_pip.kind is kind
    assert says in of_pip.cause
    of_script = post_build_failure("postBuild", (words,), unreached)
    assert of_script.kind is (HOST_SILENT if kind is failures.INDEX_UNREACHABLE else kind)
    assert says in of_script.cause
    assert {one.said for one in unreached} <= {item.saw for item in of_pip.evidence}


@pytest.mark.parametrize(
    ("words", "of_script", "of_pip"),
    [
        pytest.param("cat: no-such-file: No such file or directory", "no-such-file", "pip ended", id="a file"),
        pytest.param("see data.example.org: KeyError: 'x'", "KeyError", "pip ended", id="another host by its name"),
        pytest.param(GCC.strip("\n"), "Failed to build one", "hdf5.h", id="a compiler"),
    ],
)
def test_a_failure_of_another_kind_is_not_the_networks_and_what_was_not_reached_stands_beside_it(
    words: str, of_script: str, of_pip: str
) -> None:
    lines = (TOLD, *words.splitlines(), TOLD)
    script = post_build_failure("postBuild", (*lines, "postBuild ended with exit status 1"), (DATA,))
    pip = pip_failure(1, lines, (DATA,), "pypi.org")
    for told, kind, says in ((script, failures.POST_BUILD_FAILED, of_script), (pip, failures.BUILD_BROKE, of_pip)):
        assert told.kind is kind
        assert says in told.cause
        assert ("egress proxy", DATA.said) in [(item.where, item.saw) for item in told.evidence]


def test_what_a_package_needs_of_one_without_wheels_is_named() -> None:
    words = ("Because t<=1.1.0 has no usable wheels and", "because x==1 depends on t>=1.1.0,<1.2, we can conclude that")
    found = meant((UNSOLVED, *words))
    assert (found.unbuilt, found.asked) == (("t",), ("t>=1.1.0,<1.2",))
