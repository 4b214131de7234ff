"""The explorer in Chromium, and a check that web/dist is the build of the sources in web/."""

import filecmp
import os
import subprocess
import unittest

from service import BINARY, INSTALLED, KEY, ROOT, Service, as_postgres, socket_of

BROWSER = INSTALLED / "browser"

# A million groups: ten roots with the other groups spread evenly below them. Ids are UUIDv7, one millisecond apart, so names
# are numbered in the order of creation.
MILLION = """
begin;
drop index if exists customer_group_name_idx, customer_group_name_search_idx;
create temporary table made as
    select n, overlay(overlay(lpad(to_hex(1767225600000 + n), 12, '0') || substr(md5(n::text), 1, 20)
                              placing '7' from 13 for 1) placing '8' from 17 for 1)::uuid as id
    from generate_series(1, 1000000) as n;
create unique index on made (n);
insert into customer_group (id, parent_id, updated_at, is_group, customer_group_name)
    select made.id, root.id, now(), made.n <= 10, case when made.n <= 10 then 'Root ' else 'Group ' end || made.n
    from made left join made as root on made.n > 10 and root.n = made.n % 10 + 1
    order by made.n;
commit;
analyze customer_group;
"""


class Explorer(unittest.TestCase):
    def run_tests(self, name, service):
        environment = {
            **os.environ,
            **service.settings,
            "URL": f"http://{service.address}",
            "KEY": KEY,
            "READ_KEY": service.read_only_key(),
            "BINARY": str(BINARY),
            "PICTURES": str(ROOT / "target" / "explorer"),
        }
        command = ["node", "--test", "--test-reporter=spec", f"explorer/{name}.test.mjs"]
        done = subprocess.run(
            command, cwd=BROWSER, env=environment, text=True, timeout=600, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        self.assertEqual(done.returncode, 0, done.stdout)

    def test_the_tour(self):
        self.run_tests("tour", self.enterContext(Service()))

    def test_states(self):
        self.run_tests("states", self.enterContext(Service()))

    def test_a_million_groups(self):
        service = self.enterContext(Service())
        psql = ["psql", "--quiet", "--set=ON_ERROR_STOP=1", f"--host={socket_of(service)}", "postgres"]
        command = as_postgres([*psql, "--username=customer_groups"])
        subprocess.run(command, check=True, text=True, input=MILLION, timeout=300, cwd="/")
        self.run_tests("large", service)

    def test_what_is_served_is_what_the_sources_make(self):
        web = INSTALLED / "web"
        for folder in ["", "assets"]:
            made, served = web / "dist" / folder, ROOT / "web" / "dist" / folder
            names = sorted(path.name for path in made.iterdir())
            self.assertEqual(names, sorted(path.name for path in served.iterdir()), "run npm --prefix web run build")
            files = [name for name in names if (made / name).is_file()]
            _, *others = filecmp.cmpfiles(made, served, files, shallow=False)
            self.assertEqual(others, [[], []], "run npm --prefix web run build")


if __name__ == "__main__":
    unittest.main()
