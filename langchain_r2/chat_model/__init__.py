"""The router as a chat model."""

from langchain_r2.chat_model.model import ChatR2

__all__ = ["ChatR2"]
