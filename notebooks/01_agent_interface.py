# Databricks notebook source
# MAGIC %md
# MAGIC # Ask the agent
# MAGIC Say in plain words what you want; a merge request with spec changes comes back, or questions.
# MAGIC The agent cannot change anything but by a merge request that you merge.

# COMMAND ----------

# MAGIC %pip install --quiet "..[agent]"

# COMMAND ----------

import os

from runner.agent import get_agent, AgentRequest
from runner.notebook import here, parameter
from runner.state.frames import bars, open_frames

widget = None
if "dbutils" in globals():
    dbutils.widgets.text("message", "Add a task: compare three hosting offers, 2h", "Request")
    dbutils.widgets.dropdown("delivery", "none", ["none", "merge-request"], "Where drafts go")
    dbutils.widgets.dropdown("offline", "no", ["yes", "no"], "Without a model")
    widget = dbutils.widgets.get

message = parameter("message", "Add a task: compare three hosting offers, 2h", widget)
delivery = parameter("delivery", "none", widget)
offline = parameter("offline", "no", widget) == "yes"
place = here()
os.chdir(place.config.root)

# COMMAND ----------

# MAGIC %md
# MAGIC In one line, with all that is set up: a merge request comes back.
# MAGIC `get_agent().process_request_sync(AgentRequest(message="…")).message`

# COMMAND ----------

agent = get_agent(delivery=delivery, offline=offline)
print(agent.process_request_sync(AgentRequest(message=message)).message)

# COMMAND ----------

# MAGIC %md
# MAGIC ## What the models cost

# COMMAND ----------

costs = open_frames(place).costs()
display(costs)

# COMMAND ----------

display(bars(costs, "dollars", by=["day", "model"], title="US dollars by day and model"))
