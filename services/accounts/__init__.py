"""Accounts: how people come, prove who they are, change what is theirs, and leave."""

from services.accounts.accounts import Accounts, AccountSettings, AccountStores, make_accounts
from services.accounts.addresses import normal_email

__all__ = ["AccountSettings", "AccountStores", "Accounts", "make_accounts", "normal_email"]
