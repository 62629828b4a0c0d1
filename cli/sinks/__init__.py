"""`usher sink`: a process of its own that passes decisions on to a Kafka topic, a Redis stream or a webhook.

    WatchDecisions under the sink's name -> records -> the sink -> AckDecisions once the sink has them durably

It keeps nothing: how far it has come lies in ingest, so a process that was killed begins where the last acknowledgement
stands and repeats at most what came after it. What a sink does not take is tried again for as long as it takes; the process
says so, and ingest tells alerts once the subscriber lags.
"""
