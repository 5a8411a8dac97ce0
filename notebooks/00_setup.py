# Databricks notebook source
# MAGIC %md
# MAGIC # Set up
# MAGIC Makes the catalog, the schema and the nine tables, and looks at all that an apply needs:
# MAGIC secrets, platforms, specs. Run it as often as you like; it changes nothing that is there.

# COMMAND ----------

# MAGIC %pip install --quiet ..

# COMMAND ----------

import os

from runner.notebook import command, here, parameter
from runner.platforms import profiles_of
from runner.state.frames import open_frames

widget = None
if "dbutils" in globals():
    dbutils.widgets.text("secret_scope", "trueup", "Secret scope with the platforms' tokens")
    dbutils.widgets.text("repository", "", "Address of the repo, where CI uses this state, too")
    widget = dbutils.widgets.get

os.environ["TRUEUP_SECRET_SCOPE"] = parameter("secret_scope", widget=widget)
os.environ["TRUEUP_REPOSITORY"] = parameter("repository", widget=widget)
place = here()

# COMMAND ----------

# MAGIC %md
# MAGIC ## Catalog, schema, tables
# MAGIC Their names come from `specs/settings.yaml` (`state: {catalog: ..., schema: ...}`). Who may not
# MAGIC create a catalog or schema asks for `USE CATALOG`, and for `USE SCHEMA`, `CREATE TABLE`,
# MAGIC `SELECT` and `MODIFY` on the schema.

# COMMAND ----------

command(place, "state", "init")
frames = open_frames(place)
display(frames.runs())

# COMMAND ----------

# MAGIC %md
# MAGIC ## Secrets
# MAGIC A token is called like its environment variable. With the Databricks CLI:
# MAGIC `databricks secrets create-scope trueup`, then
# MAGIC `databricks secrets put-secret trueup LINEAR_API_KEY`.

# COMMAND ----------

for profile in profiles_of(place.desired).values():
    there = bool(place.config.secret(profile.token_variable))
    print(f"{profile.token_variable:20} {'is there' if there else 'is missing'}")

# COMMAND ----------

# MAGIC %md
# MAGIC ## Everything else
# MAGIC One reading request to each platform; nothing is changed.

# COMMAND ----------

command(place, "doctor")
