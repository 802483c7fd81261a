import Foundation
import Lines
import MartletWebRTC

/// The sender says what it has, the receiver from where on it wants it; then come the bytes; at the end the receiver says whether they
/// are right.
struct Offer: Codable {
  var name: String
  var size: Int
  var sha256: String
}

struct Answer: Codable {
  var offset: Int?
  var isComplete: Bool?
}

/// Well below what any peer takes in one message.
private let chunk = 64 << 10

func send(_ path: String, over channel: DataChannel) async throws {
  guard let file = FileHandle(forReadingAtPath: path) else { throw TransferError("\(path) cannot be read") }
  let size = Int(try file.seekToEnd())
  try await channel.send(json(Offer(name: URL(fileURLWithPath: path).lastPathComponent, size: size, sha256: try checksum(of: path))))
  var answers = channel.messages.makeAsyncIterator()
  guard let offset = try await next(Answer.self, of: &answers).offset, (0...size).contains(offset) else {
    throw TransferError("the other side asks for what is not there")
  }
  if offset > 0 { say("going on at \(offset)") }
  try file.seek(toOffset: UInt64(offset))
  var progress = Progress(done: offset, of: size)
  while let part = try file.read(upToCount: chunk), !part.isEmpty {
    // Waits while too much is on its way.
    try await channel.send(Array(part))
    progress.add(part.count)
  }
  guard try await next(Answer.self, of: &answers).isComplete == true else { throw TransferError("the file arrived damaged") }
  say("sent \(size) bytes")
}

func receive(into folder: String, from channel: DataChannel) async throws {
  var messages = channel.messages.makeAsyncIterator()
  let offer = try await next(Offer.self, of: &messages)
  // A name, not a path.
  let name = URL(fileURLWithPath: offer.name).lastPathComponent
  guard !name.isEmpty, name != "/", name != "..", offer.size >= 0 else { throw TransferError("the other side offers no file") }
  let target = URL(fileURLWithPath: folder).appendingPathComponent(name)
  // What is there of this very file from an earlier attempt.
  let part = target.appendingPathExtension(String(offer.sha256.filter(\.isHexDigit).prefix(16)) + ".part")
  if !FileManager.default.fileExists(atPath: part.path) { _ = FileManager.default.createFile(atPath: part.path, contents: nil) }
  let file = try FileHandle(forUpdating: part)
  var done = Int(try file.seekToEnd())
  if done > offer.size {
    try file.truncate(atOffset: 0)
    done = 0
  }
  try await channel.send(json(Answer(offset: done)))
  var progress = Progress(done: done, of: offer.size)
  while done < offer.size {
    guard case .binary(let bytes)? = await messages.next() else { throw TransferError("the other side is gone; start both again to go on") }
    try file.write(contentsOf: Data(bytes))
    done += bytes.count
    progress.add(bytes.count)
  }
  try file.close()
  let isComplete = try checksum(of: part.path) == offer.sha256
  try await channel.send(json(Answer(isComplete: isComplete)))
  // Sent before the connection is closed.
  while await channel.bufferedAmount > 0 { try await Task.sleep(for: .milliseconds(10)) }
  guard isComplete else {
    try FileManager.default.removeItem(at: part)
    throw TransferError("the file arrived damaged")
  }
  try? FileManager.default.removeItem(at: target)
  try FileManager.default.moveItem(at: part, to: target)
  say("received \(target.path), \(offer.size) bytes")
  // The sender leaves first.
  _ = await messages.next()
}

/// In hexadecimal, from coreutils: Foundation has no hash on Linux.
private func checksum(of path: String) throws -> String {
  let process = Process()
  let output = Pipe()
  process.executableURL = URL(fileURLWithPath: "/usr/bin/sha256sum")
  process.arguments = ["--", path]
  process.standardOutput = output
  try process.run()
  let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
  process.waitUntilExit()
  // A backslash stands before a name with strange characters.
  guard process.terminationStatus == 0 else { throw TransferError("\(path) cannot be read") }
  return String(text.drop { $0 == "\\" }.prefix(64))
}

private func json(_ value: some Encodable) throws -> String { String(decoding: try JSONEncoder().encode(value), as: UTF8.self) }

private func next<T: Decodable>(_ type: T.Type, of messages: inout PeerSequence<DataChannel.Message>.Iterator) async throws -> T {
  guard case .text(let text)? = await messages.next() else { throw TransferError("the other side is gone; start both again to go on") }
  return try JSONDecoder().decode(type, from: Data(text.utf8))
}

/// A line on standard error that changes ten times a second.
struct Progress {
  private var done: Int
  private let size: Int
  private var shown = ContinuousClock.now

  init(done: Int, of size: Int) {
    self.done = done
    self.size = size
  }

  mutating func add(_ count: Int) {
    done += count
    guard ContinuousClock.now - shown > .milliseconds(100) || done == size else { return }
    shown = .now
    FileHandle.standardError.write(Data("\r\(done) of \(size) bytes  \(done * 100 / max(1, size)) %  \(done == size ? "\n" : "")".utf8))
  }
}
