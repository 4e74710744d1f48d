/**
 * `hospitallink keys`: the keys that tokens are signed with.
 *
 * https://openid.net/specs/openid-connect-core-1_0.html#RotateSigKeys
 */
import { type CommandGroup, type Input, smartOf } from './command.js'

export const keysCommands: CommandGroup = {
  declare(program, run) {
    program
      .command('keys')
      .description('the keys that tokens are signed with')
      .command('rotate')
      .description('sign with the next key; tokens of the one before are good until they end')
      .option('--tenant <name>', 'of another tenant than the default one')
      .addHelpText('after', '\nExample: hospitallink keys rotate')
      .action((options: Input) => run('keys rotate', options))
  },
  actions: {
    'keys rotate': async (operated, input) => {
      const { kid } = await (await smartOf(operated, input)).rotateKeys()
      return [`Tokens are signed with the key ${kid} from now on.`]
    },
  },
}
