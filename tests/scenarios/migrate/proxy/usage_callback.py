"""Write down what each request cost."""

from litellm.integrations.custom_logger import CustomLogger


class Usage(CustomLogger):
    async def async_log_success_event(self, kwargs, response_obj, start_time, end_time):
        with open("/tmp/usage.jsonl", "a") as out:
            print(kwargs["standard_logging_object"]["response_cost"], file=out)


logger = Usage()
