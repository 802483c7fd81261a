import Glibc
import MartletCodecs
import MartletContainers
@testable import MartletEndpoints
import MartletIO
import MartletMedia
import MartletPrimitives
import MartletRTMP
import Testing

private let audio: TrackFormat = {
  var format = TrackFormat(codec: .aac, timescale: 1000, configuration: [0x11, 0x90], codecString: "mp4a.40.2")
  (format.sampleRate, format.channels) = (48000, 2)
  return format
}()

private func frame(_ time: Int64) -> Frame { Frame(track: 0, dts: time, pts: time, isKey: true, payload: [1, 2, 3, 4]) }

/// The tags of a file, with what stands where.
private func tags(_ bytes: [UInt8]) throws -> [FLVTag] {
  var reader = FLVReader()
  var tags: [FLVTag] = []
  reader.receive(bytes.span.bytes)
  while let tag = try reader.next() { tags.append(tag) }
  return tags
}

@Suite struct FLVRecordingTests {
  private func recording(_ seconds: Int, capacity: Int = 2000) -> (recording: FLVRecording, bytes: [UInt8]) {
    var recording = FLVRecording([audio], indexCapacity: capacity)
    for number in 0..<seconds * 50 { recording.append(frame(90_000 + Int64(number) * 20)) }
    return (recording, recording.take())
  }

  private func finished(_ file: (recording: FLVRecording, bytes: [UInt8])) -> [UInt8] {
    var bytes = file.bytes
    let head = file.recording.head(isFinal: true)
    bytes.replaceSubrange(FLVRecording.headPosition..<FLVRecording.headPosition + head.count, with: head)
    return bytes
  }

  @Test func `the head's size never changes, whatever the index holds`() {
    let empty = FLVRecording([audio]).head(isFinal: false).count
    for seconds in [0, 1, 7, 100] {
      let recording = recording(seconds).recording
      #expect(recording.head(isFinal: true).count == empty)
      #expect(recording.head(isFinal: false).count == empty)
    }
  }

  @Test func `a file that was never closed is whole tags from the time zero on`() throws {
    let file = recording(2)
    #expect(file.recording.size == file.bytes.count)
    let all = try tags(file.bytes)
    #expect(all.map(\.kind) == [.script, .audio] + Array(repeating: .audio, count: 100))
    #expect(all.dropFirst(2).map(\.timestamp) == (0..<100).map { UInt32($0 * 20) })
  }

  @Test func `a closed file tells its duration, its size and where each key frame stands`() throws {
    let bytes = finished(recording(2))
    let script = try #require(tags(bytes).first)
    let values = try AMF0.decode(script.body.bytes)
    guard case .ecmaArray(let properties) = values.last else { throw ParseError.invalid("no metadata", at: 0) }
    func value(_ name: String) -> AMFValue? { properties.first { $0.name == name }?.value }
    #expect(value("duration")?.number == 2)
    #expect(value("filesize")?.number == Double(bytes.count))
    guard case .object(let keyFrames) = value("keyframes"), case .strictArray(let positions) = keyFrames[0].value,
      case .strictArray(let times) = keyFrames[1].value
    else { throw ParseError.invalid("no index", at: 0) }
    #expect(positions.count == 100 && times.count == 100)
    for (position, time) in zip(positions, times) {
      let (offset, milliseconds) = (Int(position.number ?? 0), Int((time.number ?? 0) * 1000 + 0.5))
      #expect(bytes[offset] == FLVTag.Kind.audio.rawValue)
      #expect(Int(bytes[offset + 5]) << 8 | Int(bytes[offset + 6]) == milliseconds)
    }
  }

  @Test func `more key frames than places thin the index evenly`() {
    var index = KeyFrameIndex(capacity: 8)
    for number in 0..<100 { index.append(position: number, time: Int64(number)) }
    let positions = index.entries.map(\.position)
    #expect(positions == [0, 16, 32, 48, 64, 80, 96])
    #expect(recording(10, capacity: 8).recording.head(isFinal: true).count < 1000)
  }

  @Test func `frames before the first and impossible times are left out`() {
    var recording = FLVRecording([audio])
    let size = recording.size
    recording.append(frame(1000))
    let one = recording.size - size
    recording.append(frame(900))
    recording.append(frame(.max))
    recording.append(Frame(track: 9, dts: 0, pts: 0, isKey: true, payload: [1]))
    #expect(recording.size == size + one)
  }
}

@Suite struct RecordingNameTests {
  @Test func `a name is read back`() throws {
    let name = RecordingName(try StreamPath("live/cam"), start: WallTime(milliseconds: 1_795_188_300_123))
    #expect(name.path == "live/cam/2026-11-20T15-25-00.123Z.flv")
    #expect(RecordingName(path: name.path) == name)
    for days in stride(from: Int64(0), to: 40_000, by: 13) {
      let other = RecordingName(name.stream, start: WallTime(milliseconds: days * 86_400_000 + 7))
      #expect(RecordingName(path: other.path) == other)
    }
  }

  @Test(arguments: [
    "live/cam/x.flv", "live/2026-11-20T15-25-00.123Z.flv", "live/../2026-11-20T15-25-00.123Z.flv", "/live/cam/2026-11-20T15-25-00.123Z.flv",
    "live/cam/2026-13-20T15-25-00.123Z.flv", "live/cam/2026-11-20T15-25-00.123Z.mp4", "2026-11-20T15-25-00.123Z.flv", "",
  ])
  func `other paths are no recordings`(path: String) { #expect(RecordingName(path: path) == nil) }
}

/// A folder of its own that goes with the test.
private final class Folder {
  let path = "/tmp/martlet-test-\(UInt64.random(in: 0...UInt64.max))"
  let store: RecordingStore
  init() { store = RecordingStore(path, log: .silent) }
  deinit {
    func remove(_ folder: String) {
      for (name, isFolder) in FileTree.list(folder) { if isFolder { remove(folder + "/" + name) } else { unlink(folder + "/" + name) } }
      rmdir(folder)
    }
    remove(path)
  }
}

@Suite struct StreamRecorderTests {
  @Test func `each publish and each rotation is a file, closed with its duration`() throws {
    let folder = Folder()
    var configuration = RecordConfiguration()
    configuration.rotate = .seconds(2)
    var wall: Int64 = 1_795_188_300_000
    let recorder = StreamRecorder(try StreamPath("live/cam"), configuration, folder.store) { WallTime(milliseconds: wall) }
    recorder.configure([audio])
    for number in 0..<150 {
      recorder.receive(frame(Int64(number) * 20))
      wall += 20
    }
    recorder.pause()
    wall += 5000
    for number in 0..<50 { recorder.receive(frame(10_000 + Int64(number) * 20)) }
    recorder.pause()
    folder.store.close()
    let list = folder.store.list(stream: nil, limit: 10)
    #expect(list.map(\.duration) == [1000, 1000, 2000])
    #expect(list.map(\.isFinished) == [true, true, true])
    #expect(list.last?.name.path == "live/cam/2026-11-20T15-25-00.000Z.flv")
    #expect(folder.store.list(stream: "live/cam", limit: 1).count == 1)
    #expect(folder.store.list(stream: "live/other", limit: 10).isEmpty)
  }

  @Test func `a folder that cannot be written ends the recording and nothing else`() throws {
    let store = RecordingStore("/proc/martlet", log: .silent)
    let recorder = StreamRecorder(try StreamPath("live/cam"), RecordConfiguration(), store) { WallTime(milliseconds: 0) }
    recorder.configure([audio])
    for number in 0..<500 { recorder.receive(frame(Int64(number) * 20)) }
    recorder.pause()
    store.close()
    #expect(store.list(stream: nil, limit: 10).isEmpty)
  }

  // DESIGN, rule 6: what a client names is looked for below the folder only.
  @Test func `files are opened and removed below their folder, never through links`() throws {
    let folder = Folder()
    let name = RecordingName(try StreamPath("live/cam"), start: WallTime(milliseconds: 0))
    let recorder = StreamRecorder(name.stream, RecordConfiguration(), folder.store) { name.start }
    recorder.configure([audio])
    recorder.receive(frame(0))
    recorder.pause()
    folder.store.close()
    symlink("/etc/passwd", folder.path + "/live/cam/link")
    symlink("/etc", folder.path + "/live/etc")
    #expect(ReadableFile.open(name.path, below: folder.path) != nil)
    for path in ["live/cam/link", "live/etc/passwd", "../../etc/passwd", "/etc/passwd", "live/cam", "live", "", "."] {
      #expect(ReadableFile.open(path, below: folder.path) == nil)
    }
    #expect(FileTree.remove("live/etc/passwd", below: folder.path) != nil)
    #expect(FileTree.remove(name.path, below: folder.path) == nil)
    #expect(ReadableFile.open(name.path, below: folder.path) == nil)
    unlink(folder.path + "/live/cam/link")
    unlink(folder.path + "/live/etc")
  }
}
