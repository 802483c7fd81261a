internal import MartletHTTP
internal import MartletPrimitives

/// The signaling of WHIP (RFC 9725) and WHEP: an offer goes up, an answer comes back, and a resource on the server stands for the
/// session. It knows nothing of media and goes with any WebRTC stack; with `PeerConnection` of `MartletWebRTC`:
///
///     let whip = WHIPClient("https://example.org/live/cam/whip", token: "…")
///     try await peer.setLocalDescription()
///     let session = try await whip.open(offer: peer.localDescription?.sdp ?? "")
///     try await peer.setRemoteDescription(.init(.answer, sdp: session.answer))
///     …
///     await session.close()
public struct WHIPClient: Sendable {
  /// The endpoint, `https://HOST/APP/NAME/whip` or `…/whep`.
  public let url: String
  /// Goes out as `Authorization: Bearer …`.
  public var token: String?
  /// How long a server may take. One that lets viewers wait for a publisher takes its time.
  public var timeout: Duration = .seconds(30)
  private let http: HTTPClient

  public init(_ url: String, token: String? = nil, http: HTTPClient = .shared) {
    (self.url, self.token, self.http) = (url, token, http)
  }

  /// The STUN and TURN servers for this endpoint's clients, which some servers tell before the offer.
  public func iceServers() async throws(Failure) -> [ICEServer] {
    let response = try await send("OPTIONS", to: url)
    guard response.isSuccess else { throw await Failure.refusal(by: response) }
    return ICEServer.all(in: response.headers.values("Link"))
  }

  /// Offers a session.
  /// - Parameter offer: SDP. With its candidates inside, nothing needs to be trickled.
  public func open(offer: String) async throws(Failure) -> WHIPSession {
    let response = try await send("POST", to: url, offer, "application/sdp")
    guard response.status == 201 else { throw await Failure.refusal(by: response) }
    guard let location = response.headers["Location"], let resource = URLReference(response.url)?.resolving(location) else {
      throw Failure(.malformed, "the server named no session (Location)")
    }
    let answer: String
    do throws(HTTPClient.Failure) { answer = try await response.body.text(upTo: Self.limit) } catch { throw Failure(error) }
    let servers = ICEServer.all(in: response.headers.values("Link"))
    return WHIPSession(self, resource: resource.serialized, answer: answer, tag: response.headers["ETag"], servers: servers)
  }

  /// Bytes of an answer.
  internal static let limit = 256 << 10

  internal func send(
    _ method: String, to url: String, _ text: String? = nil, _ type: String? = nil, _ headers: HTTPHeaders = [:]
  ) async throws(Failure) -> HTTPClient.Response {
    var request = HTTPClient.Request(url, method: method, headers: headers, body: text.map { .text($0) } ?? .none)
    request.headers["Content-Type"] = type
    request.headers["Authorization"] = token.map { "Bearer \($0)" }
    request.timeouts.silence = timeout
    do throws(HTTPClient.Failure) { return try await http.send(request) } catch { throw Failure(error) }
  }
}

extension WHIPClient {
  /// What a server, or the network on the way to it, had against a session. Two are equal when their codes are.
  public struct Failure: Error, Equatable, Sendable, CustomStringConvertible {
    public enum Code: String, Sendable {
      /// No answer: the reason is in the description.
      case unreachable
      /// The server answered with an error; `status` has it.
      case refused
      /// An answer that names no session.
      case malformed
      case cancelled
    }

    public let code: Code
    /// 300 to 599, with `refused`.
    public let status: Int?
    /// How long the server asks to wait.
    public let retryAfter: Duration?
    /// A sentence for a person.
    public let description: String

    internal init(_ code: Code, _ description: String, status: Int? = nil, retryAfter: Duration? = nil) {
      (self.code, self.description, self.status, self.retryAfter) = (code, description, status, retryAfter)
    }

    internal init(_ failure: HTTPClient.Failure) {
      self.init(failure.code == .cancelled ? .cancelled : .unreachable, failure.description)
    }

    /// Trying again would get the same answer.
    public var isFinal: Bool {
      guard let status else { return code == .malformed }
      return 400..<500 ~= status && ![404, 408, 409, 425, 429].contains(status)
    }

    internal static func refusal(by response: HTTPClient.Response) async -> Failure {
      let text = (try? await response.body.text(upTo: 4096)) ?? ""
      let seconds = response.headers["Retry-After"].flatMap { Int($0) }.map { Duration.seconds(min(max(0, $0), 86_400)) }
      let said = (try? JSON(parsing: Array(text.utf8)))?["error"]?["message"]?.stringValue.map { ": \($0)" } ?? ""
      return Failure(.refused, "the server answered \(response.status)\(said)", status: response.status, retryAfter: seconds)
    }

    public static func == (a: Failure, b: Failure) -> Bool { a.code == b.code }
  }
}
