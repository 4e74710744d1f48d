/** The store on MongoDB keeps the contract, and agrees with the matcher. */
import { agreement } from './agreement.js'
import { contract } from './contract.js'
import { mongo } from './mongo/testing.js'

const engine = mongo()

contract(engine)
agreement(engine)
