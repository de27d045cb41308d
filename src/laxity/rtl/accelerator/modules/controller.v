// Takes an image in, executes the passes of the program one after the other, gives the result out, and starts again.
//
// A pass of the array is issued by `issuer`, which knows the dataflow. A pass of the vector unit takes, for every
// position, for every tap, one word of activations per cycle.
module controller #(
  parameter ROWS = 2,
  parameter WORDS = 1,
  parameter PASS_BITS = 1,
  parameter WEIGHT_ADDRESS_BITS = 1
) (
  input wire clk,
  input wire rst,
  input wire image_loaded,
  input wire pass_done,
  input wire result_unloaded,
  // from the descriptor
  input wire vector,
  input wire step_end,
  input wire program_end,
  input wire [WEIGHT_ADDRESS_BITS-1:0] weight_base,
  // from the walker
  input wire tap_first,
  input wire tap_last,
  input wire position_last,
  // to the others
  output reg [PASS_BITS-1:0] pass,
  output wire loading,
  output wire unloading,
  output wire start,
  output wire next_tap,
  output wire next_position,
  output wire keep,
  output wire back,
  output wire issue,
  output wire tile_start,
  output wire [WEIGHT_ADDRESS_BITS-1:0] weight_address,
  // for observation: a step ends in this cycle; cycles since its first one, this one included
  output wire step_done,
  output wire [31:0] step_cycles
);
  localparam LOAD = 3'd0, FETCH = 3'd1, SETUP = 3'd2, RUN = 3'd3, DRAIN = 3'd4, UNLOAD = 3'd5;

  reg [2:0] state;
  reg fresh;                      // the next cycle is the first one of a step
  reg [31:0] cycles;
  wire running = state == RUN;
  wire array_issue, array_next_tap, array_end;

  issuer #(.ROWS(ROWS), .WORDS(WORDS), .WEIGHT_ADDRESS_BITS(WEIGHT_ADDRESS_BITS)) issuer (
    .clk(clk), .start(start), .running(running & ~vector), .weight_base(weight_base), .tap_first(tap_first),
    .tap_last(tap_last), .position_last(position_last), .issue(array_issue), .next_tap(array_next_tap), .keep(keep),
    .back(back), .tile_start(tile_start), .weight_address(weight_address), .pass_end(array_end)
  );

  assign loading = state == LOAD;
  assign unloading = state == UNLOAD;
  assign start = state == SETUP;
  assign issue = running & (vector | array_issue);
  assign next_position = issue & (~vector | tap_last);
  assign next_tap = running & (vector | array_next_tap);
  assign step_done = state == DRAIN && pass_done && step_end;
  assign step_cycles = (fresh ? 32'd0 : cycles) + 32'd1;

  always @(posedge clk) begin
    if (rst) begin
      state <= LOAD;
      pass <= 0;
      fresh <= 1'b1;
    end else begin
      case (state)
        LOAD: if (image_loaded) state <= FETCH;
        FETCH: state <= SETUP;
        SETUP: state <= RUN;
        RUN: if (vector ? tap_last & position_last : array_end) state <= DRAIN;
        DRAIN:
        if (pass_done) begin
          pass <= program_end ? {PASS_BITS{1'b0}} : pass + 1'b1;
          state <= program_end ? UNLOAD : FETCH;
        end
        default: if (result_unloaded) state <= LOAD;
      endcase
      if (!loading && !unloading) begin
        fresh <= step_done;
        cycles <= step_cycles;
      end
    end
  end
endmodule
