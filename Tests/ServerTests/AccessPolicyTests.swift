import MartletCrypto
import MartletEndpoints
import MartletPrimitives
import MartletServer
import Testing

@Suite struct PathPatternTests {
  @Test(arguments: [
    ("live/*", "live/cam", true), ("live/*", "live/a/b", false), ("live/*", "live", false), ("live/*", "vod/cam", false),
    ("**", "live/cam", true), ("**", "a", true), ("live/**", "live/a/b/c", true), ("live/**", "live", true), ("**/cam", "a/b/cam", true),
    ("**/cam", "cam", true), ("a/**/z", "a/z", true), ("a/**/z", "a/b/c/z", true), ("a/**/z", "a/b/c", false),
    ("live/cam*", "live/camera", true), ("live/*_720", "live/cam_720", true), ("live/*_720", "live/cam_360", false),
    ("live/c*m*", "live/cam-main", true), ("live/cam", "live/Cam", false), ("rooms/*/ann", "rooms/7/ann", true),
  ])
  func `a star stays within a segment, two cross them`(_ pattern: String, _ path: String, _ matches: Bool) {
    #expect(PathPattern(pattern)?.matches(path) == matches)
  }

  @Test func `patterns that promise more than they do are refused`() {
    for text in ["", "/", "a**", "**b/c", String(repeating: "a", count: 600), "**/**/**/**/**"] {
      #expect(PathPattern(text) == nil, "\(text)")
    }
  }

  @Test func `a hostile pattern costs little`() {
    let pattern = PathPattern("**/*a*a*a*a*a*a*a*a*b/**/x/**")
    #expect(pattern?.matches(String(repeating: String(repeating: "a", count: 100) + "/", count: 100) + "y") == false)
  }
}

@Suite struct AccessPolicyTests {
  private static let secret = "0123456789abcdef0123456789abcdef"
  private let now = WallTime(milliseconds: 1_800_000_000_000)
  private let peer = SocketAddress(ip: .v4(0xC000_0207), port: 5000)  // 192.0.2.7

  private func request(_ action: AccessAction, _ path: String = "live/cam", token: String? = nil, key: String? = nil) -> AccessRequest {
    AccessRequest(action, on: path, transport: "rtmp", remote: peer, token: token, key: key)
  }

  private func token(_ can: JSON, sub: String? = "ann", id: String? = "t1", age: Int64 = 0, lives: Int64 = 60, secret: String = secret)
    throws -> String
  {
    var claims = JSON.Object()
    if let sub { claims["sub"] = .string(sub) }
    if let id { claims["jti"] = .string(id) }
    let seconds = now.milliseconds / 1000
    claims["iat"] = .int(seconds - age)
    claims["exp"] = .int(seconds + lives)
    claims["can"] = can
    return try JWT.sign(.object(claims), with: JWTSigningKey(secret: Array(secret.utf8)))
  }

  private func policy(_ edit: (inout AuthConfiguration) -> Void, administrator: Secret? = nil) throws -> AccessPolicy {
    var configuration = AuthConfiguration()
    edit(&configuration)
    return try AccessPolicy(configuration, administrator: administrator)
  }

  private func isAllowed(_ policy: AccessPolicy, _ request: AccessRequest) -> Bool {
    if case .decided(.allowed) = policy.decide(request, now: now) { true } else { false }
  }

  private func refusal(_ policy: AccessPolicy, _ request: AccessRequest) -> String {
    if case .decided(.denied(let reason, _)) = policy.decide(request, now: now) { reason } else { "" }
  }

  @Test func `what is for anyone needs no credentials, and nothing else is opened by it`() throws {
    let policy = try policy {
      $0.tokens = [.init(secret: Secret(Self.secret), actions: [.subscribe, .publish])]
      $0.anyone = [.init(actions: [.subscribe], on: [PathPattern("news/**") ?? .everything])]
    }
    #expect(isAllowed(policy, request(.subscribe, "news/today")))
    #expect(!isAllowed(policy, request(.publish, "news/today")))
    #expect(!isAllowed(policy, request(.subscribe, "chat/a")))
    #expect(isAllowed(policy, request(.subscribe, "news/today", token: "x.y.z")), "a bad token is no worse than none")
  }

  @Test func `without configuration publish and play are open, uploads and administration are not`() throws {
    let policy = try policy { _ in }
    #expect(isAllowed(policy, request(.publish)) && isAllowed(policy, request(.play)) && isAllowed(policy, request(.subscribe)))
    #expect(refusal(policy, request(.upload)).contains("needs a token"))
    #expect(refusal(policy, request(.admin)).contains("needs a token"))
    var local = request(.admin)
    local.isLocal = true
    #expect(isAllowed(policy, local))
  }

  @Test func `a key closes its actions and opens them to who has it`() throws {
    let policy = try policy {
      $0.keys = [.init(key: Secret("open-sesame"), actions: [.publish], on: [PathPattern("live/*") ?? .everything])]
    }
    #expect(isAllowed(policy, request(.play)))
    #expect(isAllowed(policy, request(.publish, key: "open-sesame")))
    #expect(isAllowed(policy, request(.publish, token: "open-sesame")))
    #expect(refusal(policy, request(.publish)) == "to publish live/cam takes ?key=… (auth.keys)")
    #expect(refusal(policy, request(.publish, key: "open-sesamE")) == "the key does not allow to publish live/cam (auth.keys)")
    #expect(!isAllowed(policy, request(.publish, "vod/cam", key: "open-sesame")))
  }

  @Test func `a token allows what it says, as who it says, until it ends`() throws {
    let policy = try policy { $0.tokens = [.init(secret: Secret(Self.secret))] }
    let good = try token([["do": "publish", "on": "live/*"], ["do": ["play", "history"], "on": ["live/*", "vod/**"]]])
    let expires = WallTime(milliseconds: now.milliseconds + 60_000)
    #expect(policy.decide(request(.publish, token: good), now: now) == .decided(.allowed(user: "ann", expires: expires, tokenID: "t1")))
    #expect(isAllowed(policy, request(.play, "vod/a/b", token: good)))
    #expect(refusal(policy, request(.publish, "vod/a", token: good)).contains("it allows publish:live/*, history+play:live/*+vod/**"))
    #expect(refusal(policy, request(.publish)) == "to publish live/cam takes ?token=… (auth.jwt)")
  }

  @Test func `tokens that are forged, expired or empty are refused with the reason`() throws {
    let policy = try policy { $0.tokens = [.init(secret: Secret(Self.secret))] }
    let can: JSON = [["do": "publish", "on": "**"]]
    #expect(refusal(policy, request(.publish, token: try token(can, secret: "another-secret-of-32-bytes-length"))).contains("signature"))
    #expect(refusal(policy, request(.publish, token: try token(can, lives: -60))).contains("expired"))
    for nothing: JSON in [[], [["do": "publish"]], [["on": "**"]], [["do": 1, "on": 2]], "publish", [["do": "publish", "on": "a**"]]] {
      #expect(!isAllowed(policy, request(.publish, token: try token(nothing))))
    }
    let none = "eyJhbGciOiJub25lIn0." + Base64.encode(Array(#"{"can":[{"do":"publish","on":"**"}]}"#.utf8), .url) + "."
    #expect(!isAllowed(policy, request(.publish, token: none)))
  }

  @Test func `a token key may be for some actions only`() throws {
    let policy = try policy { $0.tokens = [.init(secret: Secret(Self.secret), actions: [.publish])] }
    #expect(isAllowed(policy, request(.play)) && !isAllowed(policy, request(.publish)))
    #expect(isAllowed(policy, request(.play, token: try token([], lives: -60))), "what is open is open with a bad token, too")
  }

  @Test func `a revoked token and the earlier tokens of a revoked user count no more`() throws {
    var policy = try policy { $0.tokens = [.init(secret: Secret(Self.secret))] }
    let can: JSON = [["do": "publish", "on": "**"]]
    let (first, second) = (try token(can, id: "t1", age: 5), try token(can, id: "t2", age: 5))
    policy.revocations.revoke(token: "t1")
    #expect(refusal(policy, request(.publish, token: first)).contains("revoked") && isAllowed(policy, request(.publish, token: second)))
    policy.revocations.revoke(user: "ann", at: WallTime(milliseconds: now.milliseconds - 1000))
    #expect(!isAllowed(policy, request(.publish, token: second)))
    #expect(isAllowed(policy, request(.publish, token: try token(can, id: "t3", age: 0))), "a token made later")
    #expect(isAllowed(policy, request(.publish, token: try token(can, sub: "bob", id: "t4", age: 5))), "another user's")
  }

  @Test func `addresses are looked at first`() throws {
    let key = AuthConfiguration.StaticKey(key: Secret("open-sesame"), actions: [.publish], on: [.everything])
    let range = AddressRange("192.0.2.0/24").map { [$0] } ?? []
    let denying = try policy {
      $0.keys = [key]
      $0.deny = [.init(actions: [.publish], from: range)]
    }
    #expect(refusal(denying, request(.publish, key: "open-sesame")) == "192.0.2.7 may not publish here (auth.deny)")
    #expect(isAllowed(denying, request(.play)))
    let allowing = try policy { $0.allow = [.init(actions: [.publish], from: AddressRange("198.51.100.0/24").map { [$0] } ?? [])] }
    #expect(refusal(allowing, request(.publish)) == "192.0.2.7 is not among those who may publish (auth.allow)")
    #expect(isAllowed(try policy { $0.allow = [.init(actions: [.publish], from: range)] }, request(.publish)))
  }

  @Test func `the webhook is asked when nothing else allows`() throws {
    let policy = try policy {
      $0.keys = [.init(key: Secret("open-sesame"), actions: [.publish], on: [.everything])]
      $0.webhook = .init(url: "http://127.0.0.1/", actions: [.publish])
    }
    #expect(policy.decide(request(.publish), now: now) == .ask)
    #expect(isAllowed(policy, request(.publish, key: "open-sesame")) && isAllowed(policy, request(.play)))
  }

  @Test func `the first administrator's token administers and uploads, and nothing else`() throws {
    let policy = try policy({ $0.tokens = [.init(secret: Secret(Self.secret))] }, administrator: Secret("the-first-token-of-all"))
    #expect(isAllowed(policy, request(.admin, "api/v1/server", token: "the-first-token-of-all")))
    #expect(isAllowed(policy, request(.upload, "a", token: "the-first-token-of-all")))
    #expect(!isAllowed(policy, request(.publish, token: "the-first-token-of-all")))
  }

  @Test func `the authorisation server's answer is what it says`() {
    let body = Array(#"{"user":"ann","expires":1800000060}"#.utf8)
    #expect(
      AccessQuestion.decision(.answered(status: 200, body: body))
        == .allowed(user: "ann", expires: WallTime(milliseconds: 1_800_000_060_000)))
    #expect(AccessQuestion.decision(.answered(status: 204, body: [])) == .allowed())
    #expect(AccessQuestion.decision(.answered(status: 403, body: Array(#"{"message":"not today"}"#.utf8))) == .denied("not today"))
    #expect(AccessQuestion.decision(.answered(status: 302, body: [])) == .denied("the authorisation server refused (auth.webhook)"))
    #expect(AccessQuestion.decision(.failed("x")) == .denied("the authorisation server did not answer (auth.webhook)", isFinal: true))
  }
}

@Suite struct WebhookQueueTests {
  @Test func `messages go in order, one at a time`() {
    var queue = WebhookQueue(limit: 10, attempts: 3)
    queue.append([1])
    queue.append([2])
    #expect(queue.next()?.body == [1] && queue.next() == nil)
    #expect(queue.finish(.answered(status: 204, body: [])) == .delivered)
    #expect(queue.next()?.body == [2])
  }

  @Test func `a failure is tried again with growing pauses, then given up`() {
    var queue = WebhookQueue(limit: 10, attempts: 4)
    queue.append([1])
    _ = queue.next()
    #expect(queue.finish(.failed("refused")) == .retry(after: .seconds(1)))
    #expect(queue.finish(.answered(status: 500, body: [])) == .retry(after: .seconds(2)))
    #expect(queue.finish(.answered(status: 429, body: [])) == .retry(after: .seconds(4)))
    #expect(queue.retried?.body == [1])
    #expect(queue.finish(.failed("refused")) == .dropped("refused, 4 times"))
    #expect(queue.dropped == 1 && queue.depth == 0)
  }

  @Test func `what the receiver will never take is not tried again`() {
    var queue = WebhookQueue(limit: 10, attempts: 4)
    queue.append([1])
    _ = queue.next()
    #expect(queue.finish(.answered(status: 404, body: [])) == .dropped("it answered 404"))
  }

  @Test func `a full queue loses its oldest message`() {
    var queue = WebhookQueue(limit: 2, attempts: 1)
    #expect(queue.append([1]) && queue.append([2]) && !queue.append([3]))
    #expect(queue.next()?.body == [2] && queue.dropped == 1)
  }

  @Test func `the signature is over time and body`() {
    // HMAC-SHA256 of "7.{}" with the key "secret".
    let value = WebhookSignature.value(Array("{}".utf8), secret: Secret("secret"), seconds: 7)
    let mac = Hex.encode(Digest.hmac(.sha256, key: Array("secret".utf8), Array("7.{}".utf8)))
    #expect(value == "t=7,v1=\(mac)")
  }
}

@Suite struct MetricTests {
  @Test func `workers' samples are added by name and label`() {
    let a = Metric("m", .counter, "Help.", [Metric.label("x", "1"): 2, "": 1])
    let b = Metric("m", .counter, "Help.", [Metric.label("x", "1"): 3])
    #expect(Metric.text(Metric.sum([[a], [b]])) == "# HELP m Help.\n# TYPE m counter\nm 1\nm{x=\"1\"} 5\n")
  }

  @Test func `labels are escaped`() { #expect(Metric.label("x", "a\"b\\c\nd") == "{x=\"a\\\"b\\\\c\\nd\"}") }
}

@Suite struct RevocationsTests {
  @Test func `revocations are written as they are read`() {
    var revocations = Revocations()
    revocations.revoke(token: "t\"1")
    revocations.revoke(user: "ann", at: WallTime(milliseconds: 1_800_000_000_123))
    #expect(Revocations(revocations.json) == revocations)
    for odd: JSON in [[], ["tokens": 1, "users": []], ["tokens": [1], "users": ["a": "b"]]] { #expect(Revocations(odd) == Revocations()) }
  }
}
