import plistlib

from nixeryd.setup.service import files
from nixeryd.setup.service.launchd import agent_file, plan_agent


def test_the_agent_is_a_property_list_with_this_shells_path(tmp_path):
    plan = plan_agent(
        ["/opt/a b/nixeryd", "serve"], {"PATH": "/x & <y>"}, home=tmp_path
    )
    files.write(plan.files)
    agent = plistlib.loads(agent_file(tmp_path).read_bytes())
    assert agent["ProgramArguments"] == ["/opt/a b/nixeryd", "serve"]
    assert agent["EnvironmentVariables"] == {"PATH": "/x & <y>"}
    assert agent["RunAtLoad"]
    assert agent["KeepAlive"] == {"SuccessfulExit": False}
    assert plan.start[0][:2] == ("launchctl", "bootstrap")
    assert files.remove([agent_file(tmp_path)]) == [agent_file(tmp_path)]
