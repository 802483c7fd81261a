import Foundation
import MartletEndpoints
import MartletHTTP
import MartletMedia
import MartletPrimitives
import MartletRTMP
import MartletServer
import MartletWeb
import Testing

@Suite struct ConfigurationTests {
  private func load(
    _ text: String = "", environment: [String: String] = [:], flags: [(name: String, value: String)] = []
  ) throws -> ConfigurationLoader.Loaded {
    try ConfigurationLoader.load(
      ConfigurationSources(file: .init(name: "m.yaml", text: Array(text.utf8)), environment: environment, flags: flags))
  }

  private func complaints(_ text: String = "", environment: [String: String] = [:], flags: [(name: String, value: String)] = []) -> [String]
  {
    do { _ = try load(text, environment: environment, flags: flags) } catch let error as ConfigurationError { return error.lines } catch {}
    return []
  }

  private static func repository(_ path: String) throws -> String {
    let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
    return try String(contentsOf: root.appendingPathComponent(path), encoding: .utf8)
  }

  // MARK: Documents

  @Test func `the committed example file is the one the tables make`() throws {
    #expect(
      try Self.repository("docs/martlet.example.yaml") == ConfigurationDocuments.example,
      "martlet config example > docs/martlet.example.yaml")
  }

  @Test func `the committed reference page is the one the tables make`() throws {
    #expect(
      try Self.repository("docs/configuration.md") == ConfigurationDocuments.reference, "martlet config reference > docs/configuration.md")
  }

  @Test func `the example file says what the defaults say`() throws {
    let (example, defaults) = (try load(ConfigurationDocuments.example).configuration, ServerConfiguration())
    for setting in ConfigurationSections.located { #expect(setting.key.isEqual(example, defaults), "\(setting.dotted)") }
  }

  @Test func `every example of a setting that is off by default can be read`() throws {
    for setting in ConfigurationSections.located where !setting.dotted.hasPrefix("tls.") && setting.dotted != "auth.jwt" {
      guard let example = setting.key.example else { continue }
      var text = ""
      for (depth, name) in setting.path.enumerated() { text += String(repeating: "  ", count: depth) + name + ":\n" }
      text = String(text.dropLast()) + " " + example
      #expect(complaints(text) == [], "\(setting.dotted)")
    }
  }

  @Test func `environment variables and flags have one setting each`() {
    let variables = ConfigurationSections.located.map(\.environment)
    #expect(Set(variables).count == variables.count)
    let flags = ConfigurationSections.located.compactMap(\.key.flag)
    #expect(Set(flags).count == flags.count)
    #expect(
      variables.contains("MARTLET_STREAMS_GRACE") && variables.contains("MARTLET_HTTP") && variables.contains("MARTLET_HTTP_CORS_ORIGINS"))
  }

  // MARK: Precedence

  @Test func `a flag wins over the environment, that over the file, that over the default`() throws {
    let file = "workers: 2\nstreams:\n  grace: 20s\n  stuck: 21s\n"
    #expect(try load().configuration.workers == 0)
    #expect(try load(file).configuration.workers == 2)
    #expect(try load(file, environment: ["MARTLET_WORKERS": "3"]).configuration.workers == 3)
    #expect(try load(file, environment: ["MARTLET_WORKERS": "3"], flags: [("workers", "4")]).configuration.workers == 4)
    let mixed = try load(file, environment: ["MARTLET_STREAMS_GRACE": "7s"]).configuration.streams
    #expect(mixed.grace == .seconds(7) && mixed.ring.stuck == .seconds(21))
  }

  @Test func `listeners are addresses, ports or off`() throws {
    let flags = [("http", "127.0.0.1:9"), ("https", "off"), ("rtmp", ":5"), ("rtmps", "[::1]:6")].map { (name: $0.0, value: $0.1) }
    let listeners = try load(flags: flags).configuration.listeners
    #expect(listeners.http == SocketAddress("127.0.0.1:9") && listeners.https == nil)
    #expect(listeners.rtmp == SocketAddress(":5") && listeners.rtmps == SocketAddress("[::1]:6"))
  }

  // `martlet doctor` looks at one after the other: one that were left out would be called free.
  @Test func `each listener can be had alone`() {
    let listeners = ServerConfiguration.Listeners()
    #expect(listeners.bound.count == 7)
    for (name, address) in listeners.bound {
      let alone = listeners.only(name).bound
      #expect(alone.count == 1 && alone.first?.name == name && alone.first?.address == address)
    }
  }

  @Test func `io_uring is used where it may be, unless it is switched off`() throws {
    #expect(try load("").configuration.io.uring == .auto)
    #expect(try load("io: {uring: off}").configuration.io.uring == .off)
    #expect(try load("", environment: ["MARTLET_IO_URING": "off"]).configuration.io.uring == .off)
    #expect(complaints("io: {uring: never}").count == 1)
  }

  @Test func `lists in the environment are words, structures are YAML`() throws {
    let environment = [
      "MARTLET_HTTP_CORS_ORIGINS": "https://a.example,https://b.example",
      "MARTLET_HTTP_TRUSTED_PROXIES": "10.0.0.0/8, 192.168.1.1",
      "MARTLET_AUTH_KEYS": "[{key: abcdefgh, do: [publish, play], on: live/*}]",
    ]
    let configuration = try load(environment: environment).configuration
    #expect(configuration.http.cors.origins == .exactly(["https://a.example", "https://b.example"]))
    #expect(configuration.http.trustedProxies.count == 2)
    #expect(configuration.auth.keys.first?.actions == [.publish, .play])
  }

  @Test func `a variable that looks like ours is noted with a suggestion`() throws {
    let notes = try load(environment: ["MARTLET_STREAM_GRACE": "1s", "PATH": "/"]).notes
    #expect(notes == ["environment variable MARTLET_STREAM_GRACE is no setting; did you mean MARTLET_STREAMS_GRACE?"])
  }

  // MARK: Complaints

  @Test(arguments: [
    ("grce: 1", "m.yaml:1:1: there is no setting \"grce\""),
    ("streams:\n  grase: 1s", "m.yaml:2:3: streams has no setting \"grase\"; did you mean \"grace\"?"),
    ("takeover: reject", "m.yaml:1:1: there is no setting \"takeover\"; takeover belongs under streams"),
    ("workers: lots", "m.yaml:1:10: workers: found \"lots\", expected a whole number, 0 to 256"),
    ("workers: [1]", "m.yaml:1:10: workers: found a list, expected"),
    ("streams: 3", "m.yaml:1:10: streams: found \"3\", expected keys with values"),
    (
      "streams:\n  grace: 10",
      "m.yaml:2:10: streams.grace: found \"10\", expected a duration such as 500ms, 10s or 2h; for example grace: 10s"
    ),
    ("streams:\n  latency: fast", "m.yaml:2:12: streams.latency: found \"fast\", expected lowest, frame, or a duration"),
    ("streams:\n  ring_bytes: 1", "expected a size from 64KiB to 1GiB"),
    ("listeners:\n  http: here", "m.yaml:2:9: listeners.http: found \"here\", expected ADDRESS:PORT, :PORT for every address, or off"),
    ("listeners:\n  http: :70000", "found \":70000\", expected ADDRESS:PORT"),
    ("listeners:\n  rtmp: :8080", "listeners.rtmp: port 8080 is that of http too"),
    ("tls:\n  certificate: /nowhere.pem", "tls.certificate: a certificate and its key go together: tls.key is missing"),
    ("tls:\n  certificate: /nowhere.pem\n  key: /nowhere.key", "m.yaml:2:16: tls.certificate: cannot read /nowhere.pem"),
    ("auth:\n  keys: [{key: abcdefgh, doo: publish}]", "auth.keys: a key has no field \"doo\"; did you mean \"do\"?"),
    ("auth:\n  keys: [{key: abcdefgh, do: pubish}]", "auth.keys: do: found \"pubish\", expected publish or play"),
    ("auth:\n  keys: [{key: abc, do: play}]", "a key needs at least 8 characters"),
    ("auth:\n  keys: [{key: abcdefgh}]", "a key needs \"do\""),
    ("auth:\n  jwt: [{id: a}]", "exactly one of secret, secret_file and public_key"),
    ("auth:\n  jwt: [{secret: short}]", "at least 16 bytes"),
    ("auth:\n  deny: [{do: play, from: [10.0.0.0/33]}]", "from: found \"10.0.0.0/33\", expected an address or a CIDR block"),
    ("http:\n  cors:\n    origins: [https://a.example/x]", "http.cors.origins: found \"https://a.example/x\", expected an origin"),
    ("http:\n  cors:\n    credentials: true", "http.cors.credentials: credentials need a list of origins"),
    ("hls:\n  window: 2s\n  fragment: 4s", "hls.window: it must hold one segment"),
    ("record:\n  streams: [\"a**\"]", "record.streams: found \"a**\", expected a pattern"),
    ("webhooks:\n  targets: [{url: ftp://x}]", "url: found \"ftp://x\", expected a URL"),
    ("a: [", "m.yaml:"),
  ])
  func `a mistake is named with its place, what was found and what was expected`(_ text: String, _ expected: String) {
    let lines = complaints(text)
    #expect(lines.contains { $0.contains(expected) }, "\(lines)")
  }

  @Test func `all mistakes are told at once`() {
    #expect(complaints("workers: x\nstreams:\n  grace: y\nzzz: 1").count == 3)
  }

  @Test func `mistakes outside the file name the variable or the flag`() {
    #expect(
      complaints(environment: ["MARTLET_WORKERS": "x"]).first?.hasPrefix("environment variable MARTLET_WORKERS: workers: found \"x\"")
        == true)
    #expect(complaints(flags: [("http", "x")]).first?.hasPrefix("--http: listeners.http: found \"x\"") == true)
  }

  @Test func `a key without a value keeps its default`() throws {
    #expect(try load("workers:\nstreams:\n  grace:\n").configuration.streams.grace == .seconds(10))
  }

  @Test func `no message, description or dump shows a secret`() throws {
    let secret = "do-not-show-this-secret"
    let file = "auth:\n  keys: [{key: \(secret), do: publish}]\n  jwt: [{secret: \(secret)}]\n"
    let configuration = try load(file).configuration
    #expect(configuration.auth.keys.first?.key.value == secret)
    var dumped = ""
    dump(configuration.auth, to: &dumped)
    let written = ConfigurationSections.located.map { $0.key.write(configuration) }.joined()
    for text in ["\(configuration.auth)", String(reflecting: configuration.auth), dumped, written] { #expect(!text.contains(secret)) }
    for wrong in ["auth:\n  keys: [\(secret)]", "auth:\n  keys: \(secret)", "auth:\n  jwt: \(secret)", "auth:\n  webhook: \(secret)"] {
      #expect(!complaints(wrong).isEmpty)
      #expect(!complaints(wrong).joined().contains(secret))
    }
  }

  // MARK: Values

  @Test func `durations and sizes are written as they are read`() {
    for text in ["0", "500ms", "10s", "90s", "2h", "1d", "250us"] { #expect(TimeSpanText.parse(text).map(TimeSpanText.text) == text) }
    #expect(TimeSpanText.parse("1.5s") == .milliseconds(1500))
    #expect(TimeSpanText.parse("10") == nil && TimeSpanText.parse("1y") == nil && TimeSpanText.parse("999999999999d") == nil)
    for text in ["1KiB", "16MiB", "2GiB", "1000"] { #expect(ByteSize.parse(text).map(ByteSize.text) == text) }
    #expect(ByteSize.parse("1MB") == 1_000_000 && ByteSize.parse("99999999999GiB") == nil && ByteSize.parse("-1") == nil)
  }

  @Test func `the distance of words counts a swap once`() {
    #expect(Suggestion.distance("grace", "garce") == 1)
    #expect(Suggestion.distance("", "abc") == 3)
    #expect(Suggestion.nearest(to: "xyzzy", among: ["grace", "stuck"]) == nil)
  }

  // MARK: Reload

  @Test func `a reload takes over what it can and names what needs a restart`() throws {
    let wanted = try load("workers: 3\nlog:\n  level: debug\nauth:\n  keys: [{key: abcdefgh, do: publish}]\n").configuration
    let change = ConfigurationChange(from: ServerConfiguration(), to: wanted)
    #expect(change.applied == ["log.level", "auth.keys"])
    #expect(change.needRestart == ["workers"])
    #expect(change.configuration.log.level == .debug && change.configuration.workers == 0 && change.configuration.auth.keys.count == 1)
  }
}
