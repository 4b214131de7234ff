"""The sessions with grpcurl and curl, pasted line by line, answer what the pages show."""

import os
import re
import subprocess
import unittest

from service import BIN, KEY, ROOT, Service

# The id of a group, or its etag.
ID = re.compile(r"customer-group_[0-9a-z]{26}|(?<=\")\d{13}(?=\\?\")")
# When something happened, as a time and as the id of a request.
WHEN = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z|req_[0-9a-z]{26}")


def session(page):
    """The commands of a page's console blocks, each with the output that is shown."""
    blocks = re.findall(r"^```console\n(.*?)^```", (ROOT / page).read_text(), re.MULTILINE | re.DOTALL)
    for step in re.split(r"^\$ ", "".join(blocks), flags=re.MULTILINE)[1:]:
        command = re.match(r"(?:.*\\\n)*.*\n", step)[0]
        yield command, step[len(command) :]


class Sessions(unittest.TestCase):
    def test_the_readme_s_session_answers_what_is_shown(self):
        self.paste("README.md")

    def test_the_session_of_the_examples_answers_what_is_shown(self):
        self.paste("examples/shell.md")

    def paste(self, page):
        steps = list(session(page))
        self.assertGreater(len(steps), 5)
        with Service() as service:
            environment = {"PATH": f"{BIN}:{os.environ['PATH']}", "KEY": KEY}
            real_ids = {}
            for command, shown in steps:
                command = command.replace("127.0.0.1:8080", service.address)
                for shown_id, real_id in real_ids.items():
                    command = command.replace(shown_id, real_id)
                printed = subprocess.run(
                    command, shell=True, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
                ).stdout
                real_ids.update(zip(ID.findall(shown), ID.findall(printed)))
                for shown_id, real_id in real_ids.items():
                    shown = shown.replace(shown_id, real_id)
                self.assertEqual(WHEN.sub("WHEN", printed), WHEN.sub("WHEN", shown), command)


if __name__ == "__main__":
    unittest.main()
