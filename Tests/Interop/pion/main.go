// A Pion peer connection that is driven as peer-agent is: commands come as lines of JSON on standard input, what happens goes to
// standard output.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/pion/webrtc/v3"
	"github.com/pion/webrtc/v3/pkg/media"
	"github.com/pion/webrtc/v3/pkg/media/h264reader"
	"github.com/pion/webrtc/v3/pkg/media/ivfreader"
	"github.com/pion/webrtc/v3/pkg/media/ivfwriter"
	"github.com/pion/webrtc/v3/pkg/media/oggreader"
	"github.com/pion/webrtc/v3/pkg/media/oggwriter"
)

type server struct {
	Urls       []string `json:"urls"`
	Username   string   `json:"username"`
	Credential string   `json:"credential"`
}

type command struct {
	Do         string   `json:"do"`
	IceServers []server `json:"iceServers"`
	RelayOnly  bool     `json:"relayOnly"`
	Udp        *bool    `json:"udp"`
	Restart    bool     `json:"restart"`
	Type       string   `json:"type"`
	Sdp        string   `json:"sdp"`
	Candidate  string   `json:"candidate"`
	Mid        *string  `json:"mid"`
	Label      string   `json:"label"`
	Text       *string  `json:"text"`
	Bytes      int      `json:"bytes"`
	Kind       string   `json:"kind"`
	Direction  string   `json:"direction"`
	File       string   `json:"file"`
	Record     string   `json:"record"`
}

type report map[string]interface{}

var output sync.Mutex

func tell(r report) {
	line, _ := json.Marshal(r)
	output.Lock()
	defer output.Unlock()
	fmt.Println(string(line))
}

func check(err error) {
	if err != nil {
		tell(report{"event": "error", "text": err.Error()})
	}
}

type agent struct {
	peer     *webrtc.PeerConnection
	lock     sync.Mutex
	channels map[string]*webrtc.DataChannel
	records  map[string]string
}

func newAgent(c command) *agent {
	settings := webrtc.SettingEngine{}
	settings.SetIncludeLoopbackCandidate(true)
	if c.Udp != nil && !*c.Udp {
		// Passive TCP candidates.
		listener, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
		check(err)
		settings.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeTCP4})
		settings.SetICETCPMux(webrtc.NewICETCPMux(nil, listener, 8))
	}
	engine := &webrtc.MediaEngine{}
	check(engine.RegisterDefaultCodecs())
	api := webrtc.NewAPI(webrtc.WithSettingEngine(settings), webrtc.WithMediaEngine(engine))
	configuration := webrtc.Configuration{}
	for _, s := range c.IceServers {
		configuration.ICEServers = append(configuration.ICEServers, webrtc.ICEServer{URLs: s.Urls, Username: s.Username, Credential: s.Credential})
	}
	if c.RelayOnly {
		configuration.ICETransportPolicy = webrtc.ICETransportPolicyRelay
	}
	peer, err := api.NewPeerConnection(configuration)
	check(err)
	a := &agent{peer: peer, channels: map[string]*webrtc.DataChannel{}, records: map[string]string{}}
	peer.OnICECandidate(func(candidate *webrtc.ICECandidate) {
		if candidate == nil {
			tell(report{"event": "candidate", "candidate": ""})
			return
		}
		init := candidate.ToJSON()
		tell(report{"event": "candidate", "candidate": init.Candidate, "mid": init.SDPMid})
	})
	peer.OnConnectionStateChange(func(state webrtc.PeerConnectionState) { tell(report{"event": "state", "text": state.String()}) })
	peer.OnDataChannel(a.use)
	peer.OnTrack(func(track *webrtc.TrackRemote, _ *webrtc.RTPReceiver) { a.receive(track) })
	return a
}

func (a *agent) use(channel *webrtc.DataChannel) {
	a.lock.Lock()
	a.channels[channel.Label()] = channel
	a.lock.Unlock()
	channel.OnOpen(func() { tell(report{"event": "channel", "label": channel.Label()}) })
	channel.OnClose(func() { tell(report{"event": "channel closed", "label": channel.Label()}) })
	channel.OnMessage(func(message webrtc.DataChannelMessage) {
		if message.IsString {
			tell(report{"event": "message", "label": channel.Label(), "text": string(message.Data)})
			return
		}
		sum := uint64(0)
		for i, b := range message.Data {
			sum += uint64(i+1) * uint64(b)
		}
		tell(report{"event": "message", "label": channel.Label(), "bytes": len(message.Data), "sum": sum})
	})
}

func (a *agent) receive(track *webrtc.TrackRemote) {
	kind := track.Kind().String()
	tell(report{"event": "track", "kind": kind})
	a.lock.Lock()
	path := a.records[kind]
	a.lock.Unlock()
	var writer media.Writer
	var err error
	if path != "" && kind == "video" {
		writer, err = ivfwriter.New(path)
	} else if path != "" {
		writer, err = oggwriter.New(path, 48000, 2)
	}
	check(err)
	for frames := 0; ; {
		packet, _, err := track.ReadRTP()
		if err != nil {
			return
		}
		if writer != nil {
			check(writer.WriteRTP(packet))
		}
		// What is written is a frame with its last packet.
		if kind == "audio" || packet.Marker {
			frames++
			if frames == 1 || frames%25 == 0 {
				tell(report{"event": "frames", "kind": kind, "frames": frames})
			}
		}
	}
}

func (a *agent) addMedia(c command) {
	if c.Record != "" {
		a.lock.Lock()
		a.records[c.Kind] = c.Record
		a.lock.Unlock()
	}
	if c.Direction == "recvonly" {
		_, err := a.peer.AddTransceiverFromKind(webrtc.NewRTPCodecType(c.Kind), webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionRecvonly})
		check(err)
		return
	}
	codec := webrtc.MimeTypeVP8
	if c.Kind == "audio" {
		codec = webrtc.MimeTypeOpus
	} else if strings.HasSuffix(c.File, ".h264") {
		codec = webrtc.MimeTypeH264
	}
	track, err := webrtc.NewTrackLocalStaticSample(webrtc.RTPCodecCapability{MimeType: codec}, c.Kind, "pion")
	check(err)
	sender, err := a.peer.AddTrack(track)
	check(err)
	if c.Kind == "video" {
		a.prefer(codec, sender)
	}
	go func() {
		buffer := make([]byte, 1500)
		for {
			if _, _, err := sender.Read(buffer); err != nil {
				return
			}
		}
	}()
	switch codec {
	case webrtc.MimeTypeVP8:
		go a.playVideo(c.File, track)
	case webrtc.MimeTypeH264:
		go a.playH264(c.File, track)
	default:
		go a.playAudio(c.File, track)
	}
}

// Else the answer chooses of all that Pion knows.
func (a *agent) prefer(codec string, sender *webrtc.RTPSender) {
	chosen := []webrtc.RTPCodecParameters{}
	for _, known := range sender.GetParameters().Codecs {
		if known.MimeType == codec {
			chosen = append(chosen, known)
		}
	}
	for _, transceiver := range a.peer.GetTransceivers() {
		if transceiver.Sender() == sender {
			check(transceiver.SetCodecPreferences(chosen))
		}
	}
}

func (a *agent) connected() {
	for a.peer.ConnectionState() != webrtc.PeerConnectionStateConnected {
		time.Sleep(20 * time.Millisecond)
	}
}

func (a *agent) playVideo(path string, track *webrtc.TrackLocalStaticSample) {
	a.connected()
	ticker := time.NewTicker(33 * time.Millisecond)
	for {
		file, err := os.Open(path)
		check(err)
		reader, _, err := ivfreader.NewWith(file)
		check(err)
		for {
			frame, _, err := reader.ParseNextFrame()
			if err == io.EOF {
				break
			}
			<-ticker.C
			if track.WriteSample(media.Sample{Data: frame, Duration: 33 * time.Millisecond}) != nil {
				return
			}
		}
		file.Close()
	}
}

// Annex B with one slice a picture, which is what `ffmpeg -threads 1` writes.
func (a *agent) playH264(path string, track *webrtc.TrackLocalStaticSample) {
	a.connected()
	ticker := time.NewTicker(33 * time.Millisecond)
	for {
		file, err := os.Open(path)
		check(err)
		reader, err := h264reader.NewReader(file)
		check(err)
		unit := []byte{}
		for {
			nal, err := reader.NextNAL()
			if err == io.EOF {
				break
			}
			unit = append(append(unit, 0, 0, 0, 1), nal.Data...)
			if nal.UnitType != h264reader.NalUnitTypeCodedSliceIdr && nal.UnitType != h264reader.NalUnitTypeCodedSliceNonIdr {
				continue
			}
			<-ticker.C
			if track.WriteSample(media.Sample{Data: unit, Duration: 33 * time.Millisecond}) != nil {
				return
			}
			unit = []byte{}
		}
		file.Close()
	}
}

// Pages with one packet each, which is what `ffmpeg -page_duration 20000` writes.
func (a *agent) playAudio(path string, track *webrtc.TrackLocalStaticSample) {
	a.connected()
	ticker := time.NewTicker(20 * time.Millisecond)
	for {
		file, err := os.Open(path)
		check(err)
		reader, _, err := oggreader.NewWith(file)
		check(err)
		for {
			page, header, err := reader.ParseNextPage()
			if err == io.EOF {
				break
			}
			if header.GranulePosition == 0 {
				continue
			}
			<-ticker.C
			if track.WriteSample(media.Sample{Data: page, Duration: 20 * time.Millisecond}) != nil {
				return
			}
		}
		file.Close()
	}
}

func (a *agent) describe(description webrtc.SessionDescription, err error) {
	check(err)
	check(a.peer.SetLocalDescription(description))
	local := a.peer.LocalDescription()
	tell(report{"event": "description", "type": local.Type.String(), "sdp": local.SDP})
}

func (a *agent) obey(c command) {
	switch c.Do {
	case "offer":
		a.describe(a.peer.CreateOffer(&webrtc.OfferOptions{ICERestart: c.Restart}))
	case "description":
		check(a.peer.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.NewSDPType(c.Type), SDP: c.Sdp}))
		if c.Type == "offer" {
			a.describe(a.peer.CreateAnswer(nil))
		}
	case "candidate":
		check(a.peer.AddICECandidate(webrtc.ICECandidateInit{Candidate: c.Candidate, SDPMid: c.Mid}))
	case "channel":
		channel, err := a.peer.CreateDataChannel(c.Label, nil)
		check(err)
		a.use(channel)
	case "send":
		a.lock.Lock()
		channel := a.channels[c.Label]
		a.lock.Unlock()
		if c.Text != nil {
			check(channel.SendText(*c.Text))
		} else {
			data := make([]byte, c.Bytes)
			for i := range data {
				data[i] = byte(i*31 + i>>8)
			}
			check(channel.Send(data))
		}
	case "media":
		a.addMedia(c)
	case "statistics":
		pair, err := a.peer.SCTP().Transport().ICETransport().GetSelectedCandidatePair()
		check(err)
		address := fmt.Sprintf("%s:%d", pair.Remote.Address, pair.Remote.Port)
		tell(report{"event": "statistics", "local": pair.Local.Typ.String(), "remote": pair.Remote.Typ.String(), "address": address})
	case "close":
		check(a.peer.Close())
	}
}

func main() {
	input := bufio.NewScanner(os.Stdin)
	input.Buffer(nil, 1<<20)
	var a *agent
	for input.Scan() {
		var c command
		check(json.Unmarshal(input.Bytes(), &c))
		if a == nil {
			a = newAgent(c)
		} else {
			a.obey(c)
		}
	}
}
