/** What the broker calls itself to operators; that of package.json. */
export const BROKER_VERSION = '0.1.0'
