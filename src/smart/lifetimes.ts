/**
 * How long things are good for, in seconds.
 *
 * https://hl7.org/fhir/smart-app-launch/STU2.2/best-practices.html#best-practices-for-server-developers-include
 */
export const day = 86_400
export const accessSeconds = 900
/** https://hl7.org/fhir/smart-app-launch/STU2.2/backend-services.html: at most five minutes. */
export const backendSeconds = 300
export const codeSeconds = 60
export const interactionSeconds = 3600
/** Since it was last used; rotation makes a new one. */
export const refreshSeconds = 30 * day
/** All that one authorization gives ends by then. */
export const offlineSeconds = 90 * day
export const onlineSeconds = day / 2
