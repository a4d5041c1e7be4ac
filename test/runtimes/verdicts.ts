/** Prints what the detector learns of each form of awaiting on this runtime, as one line of JSON. */

import { verdictsOfAll } from '../manager/forms-table.ts'

console.log(JSON.stringify(await verdictsOfAll()))
