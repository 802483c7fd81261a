internal import MartletHTTP
internal import MartletPrimitives
internal import MartletWebRTC

/// What a participant and the server say about a room, over the WebSocket `/rooms/NAME`: commands with their answers, and events. A
/// connection that breaks is made again, as the same participant; what was not answered is asked again.
internal actor RoomSignaling {
  internal enum Arrival: Sendable {
    /// The answer to `join`, the first or another one, and to `resume`.
    case entered(JSON)
    case resumed(JSON)
    case event(JSON)
    /// The connection broke.
    case interrupted
    /// There is no way back.
    case ended(Room.Failure)
  }

  private struct Question {
    let command: JSON
    /// Where somebody waits for it.
    var answer: CheckedContinuation<Result<JSON, Room.Failure>, Never>?
  }

  private let url: String
  private let options: Room.Options
  /// As whom we join again.
  private var name: String
  private var info: JSON?
  private var key: String?
  /// The last `at` that was heard.
  private var place: String?
  private var socket: WebSocket?
  /// Whether commands may go out: the server knows whose they are.
  private var isReady = false
  private var outgoing: AsyncStream<String>.Continuation?
  private var questions: [Int: Question] = [:]
  private var lastQuestion = 0
  private var isOver = false
  private var reading: Task<Void, Never>?

  /// Commands that wait for their answers, over however many connections.
  private static let maximumQuestions = 1000

  /// - Throws: `badCommand` for a URL or details that cannot be used.
  internal init(_ room: String, at url: String, _ options: Room.Options) throws(Room.Failure) {
    guard let base = URLReference(url), ["ws", "wss", "http", "https"].contains(base.scheme) else {
      throw Room.Failure(.badCommand, "\"\(url.prefix(200))\" is no URL of a server")
    }
    let path = base.rawPath.hasSuffix("/") ? base.rawPath : base.rawPath + "/"
    self.url = "\(base.scheme)://\(base.authority)\(path)rooms/\(PercentCoding.encodeSegment(room))"
    (self.options, name) = (options, options.name)
    info = try options.info.map { text throws(Room.Failure) in try Room.Content.json(text).value }
  }

  internal func describe(name: String?, info: JSON?) { (self.name, self.info) = (name ?? self.name, info ?? self.info) }

  // MARK: Coming and going

  /// Joins, and goes on telling what happens until `close`, or until there is no way back.
  internal func join(_ deliver: @escaping @Sendable (Arrival) async -> Void) async throws(Room.Failure) {
    let first = try await open()
    let answer = try await enter(over: first, "join")
    await deliver(.entered(answer))
    begin(with: first)
    reading = Task { await follow(first, deliver) }
  }

  /// Says goodbye, where there is a connection.
  internal func leave() async {
    if isReady { _ = try? await ask(["do": "leave"]) }
    close()
  }

  internal func close() {
    isOver = true
    fail(Room.Failure(.closed, "the room is closed")) { _ in true }
    outgoing?.finish()
    reading?.cancel()
    socket = nil
  }

  private func open() async throws(Room.Failure) -> WebSocket {
    var socketOptions = WebSocket.Options()
    socketOptions.trust = options.trust
    do {
      if let token = options.token { socketOptions.headers["Authorization"] = "Bearer \(try await token())" }
      return try await WebSocket(url, socketOptions)
    } catch let failure as WebSocket.Failure {
      if failure.code == .cancelled { throw Room.Failure(.cancelled, "cancelled") }
      // A server that does not answer as one may be behind a proxy that waits for it.
      let isFinal = failure.code == .invalid || failure.status.map { [400, 401, 403, 404].contains($0) } ?? false
      throw Room.Failure(isFinal ? (failure.status == 401 ? .noCredentials : .badCommand) : .network, failure.description)
    } catch { throw Room.Failure(.network, "no token: \(error)") }
  }

  /// Becomes a participant on a new connection.
  private func enter(over socket: WebSocket, _ word: String) async throws(Room.Failure) -> JSON {
    var command: JSON.Object = JSON.Object()
    command["id"] = 0
    command["do"] = .string(word)
    if word == "join" {
      command["name"] = .string(name)
      command["info"] = info
      // A program relays nothing.
      command["supernode"] = false
    } else {
      command["key"] = key.map { .string($0) }
      command["since"] = place.map { .string($0) }
    }
    try await Self.send(.object(command), over: socket)
    let answer = try await Self.receive(from: socket) { $0["id"] == 0 }
    key = answer["key"]?.stringValue ?? key
    if word == "join" { place = nil }
    if answer["ok"] == true { return answer }
    guard answer["code"]?.stringValue == "waiting" else { throw Room.Failure(answer) }
    return try await waitAtTheDoor(answer, socket)
  }

  /// In the lobby, until a moderator decides.
  private func waitAtTheDoor(_ answer: JSON, _ socket: WebSocket) async throws(Room.Failure) -> JSON {
    options.onWaiting(answer["error"]?.stringValue ?? "a moderator has to let us in")
    let decision = try await Self.receive(from: socket) { ["admitted", "refused"].contains($0["event"]?.stringValue) }
    guard decision["event"] == "admitted" else { throw Room.Failure(.refused, "a moderator did not let us in") }
    return try await enter(over: socket, "resume")
  }

  private static func send(_ command: JSON, over socket: WebSocket) async throws(Room.Failure) {
    do throws(WebSocket.Failure) { try await socket.send("\(command)") } catch { throw Room.Failure(.network, error.description) }
  }

  private static func receive(from socket: WebSocket, _ isMeant: (JSON) -> Bool) async throws(Room.Failure) -> JSON {
    var messages = socket.messages.makeAsyncIterator()
    do throws(WebSocket.Failure) {
      while let message = try await messages.next() { if let json = parse(message), isMeant(json) { return json } }
    } catch { throw Room.Failure(error.code == .cancelled ? .cancelled : .network, error.description) }
    throw Room.Failure(.network, "the server has closed the connection\(socket.closure.map { " (\($0))" } ?? "")")
  }

  private static func parse(_ message: WebSocket.Message) -> JSON? {
    guard case .text(let text) = message else { return nil }
    return try? JSON(parsing: text)
  }

  // MARK: Over however many connections

  private func follow(_ first: WebSocket, _ deliver: @escaping @Sendable (Arrival) async -> Void) async {
    var current: WebSocket? = first
    var backoff = Backoff(initial: .milliseconds(300), maximum: .seconds(5))
    var random = RandomSource.system
    while !isOver {
      if let socket = current {
        await read(socket, deliver)
        (current, isReady) = (nil, false)
        outgoing?.finish()
        if isOver { return }
        await deliver(.interrupted)
      }
      try? await Task.sleep(for: .nanoseconds(backoff.next(using: &random).nanoseconds))
      do throws(Room.Failure) {
        let socket = try await open()
        try await comeBack(over: socket, deliver)
        (current, backoff) = (socket, Backoff(initial: backoff.initial, maximum: backoff.maximum))
      } catch {
        if error.isTemporary { continue }
        isOver = true
        fail(error) { _ in true }
        return await deliver(.ended(error))
      }
    }
  }

  /// As the same participant, or as another one after too long an absence.
  private func comeBack(over socket: WebSocket, _ deliver: @Sendable (Arrival) async -> Void) async throws(Room.Failure) {
    let answer: JSON
    do throws(Room.Failure) { answer = try await enter(over: socket, "resume") } catch {
      guard error.code == .gone else { throw error }
      let answer = try await enter(over: socket, "join")
      // Of a participant that we no longer are nobody wants to hear.
      fail(error) { $0["to"] != nil || $0["session"] != nil }
      await deliver(.entered(answer))
      return begin(with: socket)
    }
    await deliver(.resumed(answer))
    begin(with: socket)
  }

  /// What was asked for and not answered goes out again, in order, once the room knows where it is.
  private func begin(with socket: WebSocket) {
    guard !isOver else { return }
    let (lines, writer) = AsyncStream.makeStream(of: String.self, bufferingPolicy: .bufferingOldest(2 * Self.maximumQuestions))
    (self.socket, outgoing, isReady) = (socket, writer, true)
    // What cannot be written is asked again over the next connection.
    Task { for await line in lines { try? await socket.send(line) } }
    for id in questions.keys.sorted() { write(id) }
  }

  private func read(_ socket: WebSocket, _ deliver: @Sendable (Arrival) async -> Void) async {
    var messages = socket.messages.makeAsyncIterator()
    while !isOver, let message = try? await messages.next() {
      guard let json = Self.parse(message) else { continue }
      if let at = json["at"]?.stringValue { place = at }
      if let id = json["id"]?.intValue {
        let question = questions.removeValue(forKey: Int(clamping: id))
        question?.answer?.resume(returning: json["ok"] == true ? .success(json) : .failure(Room.Failure(json)))
      } else {
        await deliver(.event(json))
      }
    }
  }

  // MARK: Commands

  /// The answer to a command, which waits for the connection.
  internal func ask(_ command: JSON) async throws(Room.Failure) -> JSON {
    guard !isOver else { throw Room.Failure(.closed, "the room is closed") }
    guard questions.count < Self.maximumQuestions else { throw Room.Failure(.busy, "too many commands wait for the server") }
    lastQuestion += 1
    let id = lastQuestion
    let result = await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        questions[id] = Question(command: command, answer: continuation)
        if isReady { write(id) }
      }
    } onCancel: {
      Task { await self.abandon(id) }
    }
    return try result.get()
  }

  /// A command whose answer nobody needs.
  internal func post(_ command: JSON) {
    guard !isOver, questions.count < Self.maximumQuestions else { return }
    lastQuestion += 1
    questions[lastQuestion] = Question(command: command)
    if isReady { write(lastQuestion) }
  }

  private func abandon(_ id: Int) {
    questions.removeValue(forKey: id)?.answer?.resume(returning: .failure(Room.Failure(.cancelled, "cancelled")))
  }

  private func write(_ id: Int) {
    guard case .object(var command)? = questions[id]?.command else { return }
    command["id"] = .int(Int64(id))
    outgoing?.yield("\(JSON.object(command))")
  }

  private func fail(_ failure: Room.Failure, where isMeant: (JSON) -> Bool) {
    for (id, question) in questions where isMeant(question.command) {
      questions[id] = nil
      question.answer?.resume(returning: .failure(failure))
    }
  }

  /// The token anew, as it was asked for.
  internal func token() async throws(Room.Failure) -> String {
    guard let token = options.token else { throw Room.Failure(.noCredentials, "a room without tokens has none to refresh") }
    do { return try await token() } catch { throw Room.Failure(.network, "no token: \(error)") }
  }

  /// Whether we are still who we were: the way back tells.
  internal func check() { Task { [socket] in try? await socket?.close() } }
}

extension Room.Failure {
  /// The same may succeed later.
  internal var isTemporary: Bool { code == .network || code == .busy }

  /// Of an answer.
  internal init(_ answer: JSON) {
    let code = answer["code"]?.stringValue ?? ""
    self.init(Code(rawValue: code) ?? .other, answer["error"]?.stringValue ?? "the server refused (\(code))")
  }
}

extension Room.Failure: CancellableFailure {
  package static var cancelled: Room.Failure { Room.Failure(.cancelled, "cancelled") }
}
