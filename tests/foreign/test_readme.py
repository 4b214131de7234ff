"""The commands of the pages, pasted in order into one shell, print what the pages show; and their links lead somewhere."""

import json
import os
import pathlib
import re
import subprocess
import tempfile
import unittest

from service import BIN, BINARY, ROOT, Service

PAGES = [page for folder in [".", ".github", "docs", "examples"] for page in sorted((ROOT / folder).glob("*.md"))]

BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# The id of a group, or its etag.
ID = re.compile(r"customer-group_[0-9a-z]{26}|(?<=\")\d{13}(?=\\*\")")
# The time of a change, and the id of a request.
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z|req_[0-9a-z]{26}")
# The wording of a message may change. Its code, its type and its field may not.
MESSAGE = re.compile(r'(?<="message":)\s*"(?:[^"\\]|\\.)*"|(?<="description":)\s*"(?:[^"\\]|\\.)*"|(?<=  Message: ).*')

# In place of a build, the release binary; in place of `make`, a check that the target exists.
STUBS = f"""
cargo() {{ while [ "$1" != -- ]; do shift; done; shift; "{BINARY}" "$@"; }}
make() {{ command make --dry-run "$@" >/dev/null; }}
"""


def steps(page):
    """The blocks of commands of a page, each with the language and the text of the output shown below it."""
    found = []
    for language, text in BLOCK.findall((ROOT / page).read_text()):
        if language == "sh":
            found.append((text, None, None))
        else:
            commands, shown_language, _ = found[-1]
            assert shown_language is None, f"{page}: two outputs in a row, the second one is\n{text}"
            found[-1] = (commands, language, text)
    return found


def paste(blocks, environment, stubs=STUBS):
    """The exit status and the output of each block. All blocks run in one shell."""
    with tempfile.TemporaryDirectory(prefix="customer-groups-test-") as folder:
        folder = pathlib.Path(folder)
        script = f"set -u\n{stubs}\n" + "".join(
            f"{{\n{block}\n}} >{folder}/{index}.output 2>&1\necho $? >{folder}/{index}.status\n"
            for index, block in enumerate(blocks)
        )
        (folder / "script").write_text(script)
        subprocess.run(["bash", folder / "script"], cwd=ROOT, env=environment, check=True, stdin=subprocess.DEVNULL)
        for index in range(len(blocks)):
            yield int((folder / f"{index}.status").read_text()), (folder / f"{index}.output").read_text()


def documents(text):
    """The JSON documents of a text, with their fields in order."""
    decoder, found, text = json.JSONDecoder(object_pairs_hook=list), [], text.strip()
    while text:
        document, end = decoder.raw_decode(text)
        found.append(document)
        text = text[end:].lstrip()
    return found


class Sessions(unittest.TestCase):
    maxDiff = None

    def test_the_commands_of_the_readme_print_what_it_shows(self):
        self.check("README.md")

    def test_the_commands_of_the_examples_print_what_is_shown(self):
        self.check("examples/shell.md")

    def check(self, page):
        pasted = steps(page)
        self.assertGreater(sum(shown is not None for _, _, shown in pasted), 3)
        # Without API_KEY the service makes its first key, as it does for a newcomer.
        with Service(API_KEY=None) as service:
            environment = {
                "PATH": f"{BIN}:{os.environ['PATH']}",
                "HOME": service.settings["DATA_DIR"],
                "DATA_DIR": service.settings["DATA_DIR"],
            }
            blocks = [commands.replace("127.0.0.1:8080", service.address) for commands, _, _ in pasted]
            results = list(paste(blocks, environment))
        real_ids = {}
        for (commands, language, shown), (status, printed) in zip(pasted, results):
            with self.subTest(commands):
                if shown is None:
                    self.assertEqual(status, 0, printed)
                    continue
                self.assertEqual(status != 0, "ERROR:" in shown, printed)
                printed, shown = (TIME.sub("TIME", MESSAGE.sub('"MESSAGE"', text)) for text in [printed, shown])
                for shown_id, real_id in zip(ID.findall(shown), ID.findall(printed)):
                    self.assertEqual(real_ids.setdefault(shown_id, real_id), real_id, printed)
                self.assertEqual(len(set(real_ids.values())), len(real_ids), printed)
                shown = ID.sub(lambda found: real_ids.get(found[0], found[0]), shown)
                if language == "json":
                    printed, shown = documents(printed), documents(shown)
                self.assertEqual(printed, shown)

    def test_the_key_is_found_by_root_and_by_a_user(self):
        (block,) = [commands for commands, _, _ in steps("README.md") if "\nKEY=" in commands]
        with tempfile.TemporaryDirectory(prefix="customer-groups-test-") as home:
            for user, folder in [(0, "/var/lib/customer-groups"), (1000, "data")]:
                (pathlib.Path(home, str(user)) / folder.strip("/")).mkdir(parents=True)
                (pathlib.Path(home, str(user)) / folder.strip("/") / "api-key").write_text(f"key of {user}\n")
                stubs = f"cd {home}/{user}\nid() {{ echo {user}; }}"
                block_here = block.replace("/var/lib", f"{home}/{user}/var/lib")
                ((status, printed),) = paste([block_here + 'echo "$KEY"'], {"PATH": os.environ["PATH"]}, stubs)
                self.assertEqual((status, printed), (0, f"key of {user}\n"))


class Pages(unittest.TestCase):
    def test_the_readme_is_short(self):
        self.assertLessEqual(len((ROOT / "README.md").read_text().splitlines()), 200)

    def test_every_link_leads_somewhere(self):
        self.assertGreater(len(PAGES), 10)
        links = 0
        for page in PAGES:
            text = BLOCK.sub("", page.read_text())
            for link in re.findall(r"\]\(([^)\s]+)\)|<img src=\"([^\"]+)\"", text):
                file, _, anchor = "".join(link).partition("#")
                if ":" in file:
                    continue
                links += 1
                with self.subTest(f"{page.relative_to(ROOT)}: {''.join(link)}"):
                    target = page.parent / file if file else page
                    self.assertTrue(target.exists())
                    if anchor:
                        self.assertIn(anchor, anchors(target))
        self.assertGreater(links, 50)


def anchors(page):
    """The anchors that GitHub gives to the headings of a page."""
    headings = re.findall(r"^#+ (.*)$", BLOCK.sub("", page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


if __name__ == "__main__":
    unittest.main()
