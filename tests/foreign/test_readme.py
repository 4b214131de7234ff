"""The README's sessions with grpcurl and curl, pasted line by line, answers what the README shows."""

import os
import re
import subprocess
import unittest

from service import BIN, KEY, ROOT, Service

ID = re.compile(r"customer-group_[0-9a-z]{26}")
# When something happened, as a time, as an etag and as the id of a request.
WHEN = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z|(?<=\"etag\": \"\\\")\d{13}|req_[0-9a-z]{26}")


def session():
    """The commands of the README's console blocks, each with the output that is shown."""
    readme = (ROOT / "README.md").read_text()
    blocks = re.findall(r"^```console\n(.*?)^```", readme, re.MULTILINE | re.DOTALL)
    for step in re.split(r"^\$ ", "".join(blocks), flags=re.MULTILINE)[1:]:
        command = re.match(r"(?:.*\\\n)*.*\n", step)[0]
        yield command, step[len(command) :]


class Readme(unittest.TestCase):
    def test_the_session_answers_what_is_shown(self):
        steps = list(session())
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
