# Databricks notebook source
# MAGIC %md
# MAGIC # Plan, apply, look back
# MAGIC What the scheduled job of `databricks.yml` runs, and a tour of the state for people. `action` says
# MAGIC what is done: `plan` changes nothing, `apply` makes the platforms match the specs, `drift` asks
# MAGIC the platforms what people changed there.

# COMMAND ----------

# MAGIC %pip install --quiet ..

# COMMAND ----------

import os

from runner.notebook import command, here, parameter
from runner.plan import make_plan
from runner.platforms import profiles_of
from runner.state.frames import bars, open_frames

widget = None
if "dbutils" in globals():
    dbutils.widgets.dropdown("action", "plan", ["plan", "apply", "drift"], "What to do")
    dbutils.widgets.text("secret_scope", "trueup", "Secret scope with the platforms' tokens")
    dbutils.widgets.text("repository", "", "Address of the repo, where CI uses this state, too")
    widget = dbutils.widgets.get

os.environ["TRUEUP_SECRET_SCOPE"] = parameter("secret_scope", widget=widget)
os.environ["TRUEUP_REPOSITORY"] = parameter("repository", widget=widget)
action = parameter("action", "plan", widget)
place = here()
frames = open_frames(place)

# COMMAND ----------

# MAGIC %md
# MAGIC ## The plan

# COMMAND ----------

plan = make_plan(place.desired, place.reader(), profiles_of(place.desired))
display(frames.plan(plan))

# COMMAND ----------

display(bars(frames.price(plan), "requests", by=["platform"], title="Requests that it will take"))

# COMMAND ----------

# MAGIC %md
# MAGIC ## What was asked for

# COMMAND ----------

if action == "apply":
    command(place, "apply", "--yes", "--wait", "600")
elif action == "drift":
    command(place, "drift")
else:
    command(place, "plan")

# COMMAND ----------

# MAGIC %md
# MAGIC ## The state
# MAGIC What is bound to what, and whether it is in step with the specs.

# COMMAND ----------

bindings = frames.bindings()
display(bindings)

# COMMAND ----------

by_platform = bindings.groupBy("platform", "in_step").count().orderBy("platform", "in_step")
display(bars(by_platform, "count", by=["platform", "in_step"], title="Bindings in step, or not"))

# COMMAND ----------

# MAGIC %md
# MAGIC ## History
# MAGIC Each run, each operation, and what they cost. The versions of a table are Delta's own: any of them
# MAGIC can be read again with `VERSION AS OF`.

# COMMAND ----------

display(frames.runs())

# COMMAND ----------

display(frames.history())

# COMMAND ----------

requests = frames.requests()
display(requests)

# COMMAND ----------

display(bars(requests, "requests", by=["run_id", "platform"], title="Requests by run and platform"))

# COMMAND ----------

display(frames.commits())
