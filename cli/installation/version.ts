/** What the program calls itself; that of package.json. */
export const CLI_VERSION = '0.1.0'
