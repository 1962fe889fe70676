-- Run once, by the first start of an empty database.
CREATE DATABASE prefect;
CREATE DATABASE mlflow;
