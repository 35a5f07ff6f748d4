const UTC = "UTC";

/** The time zones to choose from, by name, `current` among them. */
export function zonesWith(current: string): string[] {
  return [...new Set([UTC, ...Intl.supportedValuesOf("timeZone"), ownZone(), current])].sort((a, b) =>
    a === UTC ? -1 : b === UTC ? 1 : a < b ? -1 : 1,
  );
}

/** The time zone of this device. */
export function ownZone(): string {
  return Intl.DateTimeFormat().resolvedOptions().timeZone || UTC;
}
