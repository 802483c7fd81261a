import MartletCrypto
import MartletEndpoints
import MartletPrimitives
import MartletSTUN
import MartletServer
import Testing

@Suite struct CommandLineTests {
  private let flags = [CommandFlag("http", "ADDRESS", ""), CommandFlag("quiet", nil, ""), CommandFlag("can", "X", "", repeatable: true)]

  private func reason(_ arguments: [String]) -> String? {
    do throws(UsageError) { _ = try CommandLineArguments(arguments, accepting: flags) } catch { return error.reason }
    return nil
  }

  @Test func `flags take values behind a space or an equals sign`() throws {
    let parsed = try CommandLineArguments(["--http", ":1", "--quiet", "a", "--can=x=y", "--can", "z", "--", "--b"], accepting: flags)
    #expect(parsed["http"] == ":1" && parsed["quiet"] == "true" && parsed.all("can") == ["x=y", "z"] && parsed.operands == ["a", "--b"])
  }

  @Test func `mistakes are named`() throws {
    #expect(reason(["--htpp", "x"]) == "unknown flag --htpp; did you mean --http?")
    #expect(reason(["--http"]) == "--http needs a value: --http ADDRESS")
    #expect(reason(["--http", "a", "--http", "b"]) == "--http is given twice")
    #expect(reason(["-x"])?.hasPrefix("unknown flag -x") == true)
    let parsed = try CommandLineArguments(["a", "b"], accepting: flags)
    #expect(throws: UsageError("\"b\" is one argument too many")) { try parsed.operands("first") }
    #expect(throws: UsageError("third is missing")) { try parsed.operands("first", "second", "third") }
  }

  @Test func `a minted token is accepted with the same secret and says what it was asked to`() throws {
    let secret = "0123456789abcdef0123456789abcdef"
    let line = ["--secret", secret, "--sub", "ann", "--can", "publish:live/*", "--can", "play", "--expires", "2h"]
    let arguments = try CommandLineArguments(line, accepting: TokenMint.flags)
    let now = WallTime(milliseconds: 1_000_000_000)
    let token = try TokenMint.mint(arguments, environment: [:], now: now, id: "t1")
    let claims = try JWT.verify(token, keys: [JWTKey(secret: Array(secret.utf8))], now: now)
    #expect(claims.subject == "ann" && claims.id == "t1")
    #expect(claims.expiresAt == WallTime(milliseconds: now.milliseconds + 7_200_000))
    #expect(claims["can"] == [["do": "publish", "on": "live/*"], ["do": "play", "on": "**"]])
  }

  @Test func `a token that could not mean anything is not made`() throws {
    func reason(_ line: [String]) throws -> String? {
      let arguments = try CommandLineArguments(line, accepting: TokenMint.flags)
      do { _ = try TokenMint.mint(arguments, environment: [:], now: WallTime(milliseconds: 0), id: "t") } catch { return error.reason }
      return nil
    }
    #expect(try reason(["--secret", "x"])?.contains("--can is missing") == true)
    #expect(try reason(["--can", "pubish:a", "--secret", "x"])?.contains("did you mean publish?") == true)
    #expect(try reason(["--can", "play:a**", "--secret", "x"])?.contains("no pattern") == true)
    #expect(try reason(["--can", "play"])?.contains("what to sign with is missing") == true)
    #expect(try reason(["--can", "play", "--secret", "short"])?.contains("at least 16 bytes") == true)
    #expect(try reason(["--can", "play", "--secret", "short", "--expires", "soon"])?.contains("--expires soon") == true)
  }

  // draft-uberti-behave-turn-rest-00 §2.2, and the shape of RTCIceServer.
  @Test func `a TURN credential is what a server with the same secret takes`() throws {
    let flags = TokenMint.flags + [TURNCredentialMint.urlFlag]
    let line = [
      "turn", "--secret", "north", "--sub", "ann", "--expires", "2h", "--url", "turn:t.example.org", "--url", "turns:t.example.org",
    ]
    let now = WallTime(milliseconds: 1_000_000_500)
    let text = try TURNCredentialMint.mint(CommandLineArguments(line, accepting: flags), environment: [:], now: now)
    let json = try JSON(parsing: Array(text.utf8))
    #expect(json["urls"] == ["turn:t.example.org", "turns:t.example.org"] && json["username"] == "1007200:ann")
    let account = try TURNCredentials(realm: "r", secrets: ["north"]).account(named: "1007200:ann", unixTime: 1_000_000)
    #expect(json["credential"] == .string(account.password))
    func reason(_ line: [String]) throws -> String? {
      let arguments = try CommandLineArguments(line, accepting: flags)
      do { _ = try TURNCredentialMint.mint(arguments, environment: [:], now: now) } catch { return error.reason }
      return nil
    }
    #expect(try reason(["turn"])?.contains("MARTLET_TURN_SECRET") == true)
    #expect(try reason(["turn", "--secret", "s", "--url", "http://x"])?.contains("expected turn:") == true)
    #expect(try reason(["turn", "--secret", "s", "--expires", "0s"])?.contains("--expires") == true)
  }

  @Test func `an unreadable configuration file is a configuration error that names the flag`() throws {
    let arguments = try CommandLineArguments(["--config", "/nowhere.yaml"], accepting: ServeOptions.flags)
    do {
      _ = try ServeOptions.load(arguments, environment: [:])
      Issue.record("it was loaded")
    } catch {
      #expect(error.lines == ["--config: cannot read /nowhere.yaml: No such file or directory"])
    }
  }

  @Test func `the warning about an open server goes away with a key or with loopback`() {
    let open = ServerConfiguration.Listeners()
    var configuration = ServerConfiguration()
    #expect(StartReport(configuration, bound: open).warnings.count == 1)
    let local = SocketAddress(ip: .v4(127 << 24 | 1), port: 1)
    let loopback = ServerConfiguration.Listeners(http: local, https: nil, rtmp: local, rtmps: nil)
    #expect(StartReport(configuration, bound: loopback).warnings.isEmpty)
    configuration.auth.keys = [.init(key: Secret("abcdefgh"), actions: [.publish], on: [])]
    #expect(StartReport(configuration, bound: open).warnings.isEmpty)
  }
}
