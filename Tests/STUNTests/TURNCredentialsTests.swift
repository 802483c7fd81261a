import MartletCrypto
import MartletPrimitives
import MartletSTUN
import Testing

/// RFC 8489 §9.2 and draft-uberti-behave-turn-rest-00 §2.2.
@Suite struct TURNCredentialsTests {
  private let credentials = TURNCredentials(realm: "example.org", users: ["alice": "wonder", "7:x": "static"], secrets: ["new", "old"])

  @Test func `a static user has the configured password and no end`() throws {
    let account = try credentials.account(named: "alice", unixTime: 0)
    #expect(account.username == "alice" && account.user == "alice" && account.password == "wonder")
    #expect(account.olderPasswords.isEmpty && account.expires == nil)
    #expect(try credentials.account(named: "7:x", unixTime: 100).password == "static", "a static name goes before what it looks like")
    #expect(throws: TURNCredentialError.unknown) { try credentials.account(named: "bob", unixTime: 0) }
  }

  // draft-uberti-behave-turn-rest-00 §2.2: base64(hmac(secret, username)).
  @Test func `an ephemeral user has the password that each secret makes of its name`() throws {
    let account = try credentials.account(named: "1433895918:carol", unixTime: 1_433_895_917)
    let passwords = ["new", "old"].map { Base64.encode(Digest.hmac(.sha1, key: Array($0.utf8), Array("1433895918:carol".utf8))) }
    #expect(account.password == passwords[0] && account.olderPasswords == [passwords[1]])
    #expect(account.user == "carol" && account.expires == 1_433_895_918)
    let known = TURNCredentials(realm: "r", secrets: ["north"])
    #expect(try known.account(named: "1433895918:12334", unixTime: 0).password == "D2z3GKCuvPnlJaCR4joJ/GuCSzM=")
  }

  @Test func `a minted credential is valid until it expires`() throws {
    let minted = try #require(credentials.mint(for: "carol:x", expires: 1000))
    #expect(minted.username == "1000:carol:x")
    let account = try credentials.account(named: minted.username, unixTime: 999)
    #expect(account.password == minted.password && account.user == "carol:x")
    #expect(throws: TURNCredentialError.expired(at: 1000)) { try credentials.account(named: minted.username, unixTime: 1000) }
    #expect(TURNCredentials(realm: "r", users: ["a": "b"]).mint(for: "carol", expires: 1) == nil)
  }

  @Test func `a name that was made for a token says so behind its user, who is counted without it`() throws {
    for user in ["carol", "carol;x", "carol;7-0123456789abcdef"] {
      let minted = try #require(credentials.mint(for: user, expires: 1000, grant: TURNGrant(token: "id", made: 900)))
      #expect(minted.username == "1000:\(user);900-a56145270ce6b3be")
      let account = try credentials.account(named: minted.username, unixTime: 999)
      #expect(account.user == user && account.password == minted.password && account.grant == TURNGrant(token: "id", made: 900))
    }
    let long = credentials.mint(for: String(repeating: "x", count: 600), expires: 1000, grant: TURNGrant(token: nil, made: 900))
    #expect(try #require(long).username.utf8.count < 509)
    // What only looks like it is the user's.
    for end in ["", "900", "900-a56145270ce6b3b", "-a56145270ce6b3be", "+9-a56145270ce6b3be", "9-g56145270ce6b3be"] {
      let user = "carol;\(end)"
      let account = try credentials.account(named: "1000:\(user)", unixTime: 999)
      #expect(account.user == user && account.grant == nil)
    }
  }

  @Test func `an expiry that is no number makes no account`() throws {
    for name in ["", ":", ":carol", "1e3:carol", "+9:carol", "-9:carol", "99999999999999999999:carol", "carol:99", " 9:carol"] {
      #expect(throws: TURNCredentialError.unknown, "\(name)") { try credentials.account(named: name, unixTime: 0) }
    }
    #expect(try credentials.account(named: "9", unixTime: 0).user == "9")
    #expect(try credentials.account(named: "9:", unixTime: 0).user == "9:")
    #expect(throws: TURNCredentialError.expired(at: 9)) { try credentials.account(named: "9:carol", unixTime: .max) }
    #expect("\(TURNCredentialError.expired(at: .max))".contains("expired"))
  }

  // RFC 8489 §9.2.4, §14.4.
  @Test func `a hash of a static name finds it, and clients are asked for hashes only where that finds everybody`() throws {
    let hash = STUNKey.userhash(username: "alice", realm: "example.org")
    #expect(try credentials.account(userhash: hash, unixTime: 0).username == "alice")
    #expect(throws: TURNCredentialError.unknown) { try credentials.account(userhash: Array(hash.dropLast()), unixTime: 0) }
    #expect(!credentials.supportsUserhash && !TURNCredentials(realm: "r").supportsUserhash)
    #expect(TURNCredentials(realm: "r", users: ["a": "b"]).supportsUserhash)
  }
}
