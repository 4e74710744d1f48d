/**
 * Long passwords that are tried first: those of 12 characters and more that lead every published list of stolen ones.
 *
 * Kept without what stands at their end, where that is digits and signs: `password1234` is found as `password`.
 */
export const commonest: ReadonlySet<string> = new Set(
  `
password passwort motdepasse motdepasse1 palavrapasse palavra-passe nenosiri senha senhasenha contrasena
passw0rd p@ssword p@ssw0rd p4ssw0rd pa55word pa55w0rd passwordpassword password1password password123password
password12 password1234 password12345 password123456 password1234567 password12345678 password123456789 passwordpass
mypassword mypassword1 thisismypassword thepassword newpassword oldpassword changepassword yourpassword nopassword
secretpassword adminpassword userpassword testpassword temppassword defaultpassword masterpassword strongpassword
changeme changemenow changeme123 letmein letmeinnow letmeinplease welcome welcomehome welcome123 welcome2024 welcome2025
administrator administrateur administrador admin adminadmin admin123 admin1234 admin12345 admin123456 administrator1
superadmin superuser superman supersecret rootroot rootroot1 root1234 toor123456 guestguest guest12345
hospital hospital1 hospital123 hospital1234 hospitallink hospitaladmin myhospital healthcare health123 clinic clinic123
doctor doctor123 doctordoctor nurse nurse123 nursenurse pharmacy pharmacy123 patient patient123 medicine medical
qwertyuiop qwertyuiop[] qwertyuiop123 qwerty123456 qwerty12345 qwerty1234 qwertyqwerty qwertyuiopasdf qwerty asdfghjkl
asdfghjkl;' asdfasdfasdf asdf1234asdf asdfqwerzxcv zxcvbnm zxcvbnmasdfgh 1qaz2wsx 1qaz2wsx3edc 1qaz2wsx3edc4rfv
1q2w3e4r 1q2w3e4r5t 1q2w3e4r5t6y 1q2w3e4r5t6y7u q1w2e3r4t5y6 q1w2e3r4t5 zaq12wsx zaq12wsxcde3 zaq1xsw2cde3 qazwsxedc
qazwsxedcrfv qazwsxedc123 !qaz2wsx !qaz@wsx !qaz2wsx#edc azertyuiop azerty123456 azerty12345 azertyazerty
abcdefghijkl abcdefgh1234 abcd1234abcd abcd12345678 abcd1234 abc123abc123 abc123456789 abcabc123123 a1b2c3d4e5f6 a1b2c3d4
a1s2d3f4g5h6 aa123456789 a123456789 a1234567890 aaaa1111 123456789abc 123456789abcd 123456abcdef 1234567890abc
1234567890qwerty 1234567890qwertyuiop 1234567890-= 123456789012 1234567890123 12345678901234 123123123123 121212121212
123412341234 112233445566 102030405060 111222333444 111122223333 987654321098 098765432109 147258369147 147258369
159753159753 159357159357 741852963 741852963741 789456123 789456123789 123456789123 321321321321 696969696969
iloveyou iloveyou1 iloveyou123 iloveyou1234 iloveyousomuch iloveyouforever iloveyoubaby iloveyou2 ilovejesus jesuslovesme
jesuschrist jesusislord jesuschrist1 godislove godisgood godisgreat ingodwetrust praisethelord trustnoone trustno1
bismillah alhamdulillah subhanallah allahuakbar mashallah inshallah hakunamatata nakupenda nakupenda123 mungunimwema
jetaime jetaime123 monamour jtmjtmjtm loulou123456 doudou123456 marseille13 teamo123456 teamomucho tequieromucho
euteamo123 amorzinho benfica123456 flamengo123 manchester manchesterunited manutd123456 liverpool liverpoolfc arsenal12345
chelseafc123 barcelona realmadrid realmadrid123 juventus1897 football football123 basketball baseball123 soccer123456
sunshine sunshine123 princess princess123 butterfly butterfly123 chocolate chocolate123 strawberry cinderella spongebob
spongebob123 pokemon12345 starwars starwars1234 minecraft minecraft123 superman1234 batman123456 spiderman spiderman123
harrypotter harrypotter1 michaeljackson tinkerbell blackberry blackberry123 california washington mercedesbenz
dragonball dragonballz monkey123456 dragon123456 master123456 michael12345 jordan123456 charlie12345 jennifer
alexander christopher christian elizabeth stephanie anthony nicholas jonathan benjamin francisco katherine
internet internet123 computer computer123 samsung123 samsung12345 microsoft microsoft123 windows windows10 google123456
facebook facebook123 facebook1234 linkedin linkedinlinkedin linkedin1234 whatsapp123 youtube12345 instagram instagram123
correcthorsebatterystaple thequickbrownfox iamthebest123 imthebest1234 fuckyou fuckyou123456
whatever whatever123 nothing12345 something123 everything123 remember1234 forgotpassword idontknow idontcare dontforget
donotforget lovelove lovelovelove lovelylovely loveyouforever foreverlove foreveryoung bestfriends bestfriend mybestfriend
family family123 mamapapa mamapapa123 mommydaddy mothermother daddysgirl babygirl babygirl123 prettygirl beautiful
beautiful123 gorgeous1234 summer2023 summer2024 summer2025 summer2026 winter2023 winter2024 winter2025 winter2026
spring2024 spring2025 spring2026 autumn2024 autumn2025 autumn2026 january2025 january2026 november2025 december2025
summersummer summertime winterwinter monday12345 friday12345 holidays1234 christmas christmas123 newyear2025 newyear2026
southafrica nigeria12345 nairobi12345 kampala12345 kenya12345 uganda12345 tanzania123 mozambique angola12345 rwanda12345
test1234test testtest testtesttest testing testing123 testing1234 test12345678 temp12345678 demo12345678 default12345
secret123456 secretsecret topsecret topsecret123 passphrase passcode security security123 access123456
`
    .split(/\s+/)
    .filter((word) => word !== ''),
)
