"""Hand the caller's token to the request that goes to Anthropic."""

from litellm.integrations.custom_logger import CustomLogger


class OAuth(CustomLogger):
    async def async_pre_call_hook(self, user_api_key_dict, cache, data, call_type):
        token = user_api_key_dict.metadata.get("raw_token")
        if token:
            data["api_key"] = token
        return data


handler = OAuth()
